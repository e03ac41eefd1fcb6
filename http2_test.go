package kalshi

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The codes of HTTP/2 streams that are reset, and of two statuses.
const (
	h2ProtocolError = 1
	h2InternalError = 2
	h2OK            = 0x88
	h2NotFound      = 0x8d
)

// newRawHTTP2 starts a server that speaks just enough HTTP/2 to hand each
// whole request, which it has then carried out, to answer: raw frames.
func newRawHTTP2(t *testing.T, answer func(n int64, stream uint32) []byte) *Client {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	config := &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}}
	roots := certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })

	var requests atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveRawHTTP2(conn, func(stream uint32) []byte { return answer(requests.Add(1), stream) })
		}
	}()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	client, _ := newTestClient(t, WithBaseURL("https://"+listener.Addr().String()), WithHTTPClient(&http.Client{Transport: transport}))
	return client
}

func serveRawHTTP2(conn net.Conn, answer func(stream uint32) []byte) {
	const data, headers, settings, endStream, ack = 0, 1, 4, 1, 1
	defer conn.Close()
	if _, err := io.CopyN(io.Discard, conn, 24); err != nil { // the preface
		return
	}
	_, _ = conn.Write(frame(settings, 0, 0, nil))
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		if _, err := io.CopyN(io.Discard, conn, length); err != nil {
			return
		}
		switch kind, flags := head[3], head[4]; {
		case kind == settings && flags&ack == 0:
			_, _ = conn.Write(frame(settings, ack, 0, nil))
		case (kind == data || kind == headers) && flags&endStream != 0:
			_, _ = conn.Write(answer(binary.BigEndian.Uint32(head[5:])))
		}
	}
}

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	head := binary.BigEndian.AppendUint32([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, stream)
	return append(head, payload...)
}

func resetFrame(stream, code uint32) []byte {
	return frame(3, 0, stream, binary.BigEndian.AppendUint32(nil, code))
}

func answerFrames(stream uint32, status byte, body string) []byte {
	return append(frame(1, 4, stream, []byte{status}), frame(0, 1, stream, []byte(body))...)
}

// net/http sends a request again by itself whose HTTP/2 stream was reset with
// PROTOCOL_ERROR, if it can have its body again. That reset does not prove
// that the first one was not carried out.
func TestHTTP2_mintIsNotSentAgain(t *testing.T) {
	t.Parallel()
	for _, code := range []uint32{h2ProtocolError, h2InternalError} {
		for _, call := range apiCalls("bot") {
			if !call.mints() {
				continue
			}
			t.Run(fmt.Sprint(call.name, code), func(t *testing.T) {
				t.Parallel()
				var made atomic.Int64
				client := newRawHTTP2(t, func(n int64, stream uint32) []byte {
					made.Store(n)
					if n == 1 {
						return resetFrame(stream, code)
					}
					return answerFrames(stream, h2OK, call.body)
				})
				assert.Equal(t, "Unknown", kindOf(call.do(t.Context(), client)))
				assert.EqualValues(t, 1, made.Load())
			})
		}
	}
}
