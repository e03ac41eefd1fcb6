package test

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

	"github.com/seed251d1451/kalshi-go"
)

// The codes of HTTP/2 streams that are reset, and of two statuses.
const (
	h2ProtocolError = 1
	h2InternalError = 2
	h2RefusedStream = 7
	h2OK            = 0x88
	h2NotFound      = 0x8d
)

// rawHTTP2 starts a server that speaks just enough HTTP/2 to respond to each
// whole request, which it has then processed, with raw frames.
func rawHTTP2(t *testing.T, respond func(n int64, stream uint32) []byte) *kalshi.Client {
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
			go serveRawHTTP2(conn, func(stream uint32) []byte { return respond(requests.Add(1), stream) })
		}
	}()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	signer, err := kalshi.NewSigner("id", newKey())
	require.NoError(t, err)
	base, hc := "https://"+listener.Addr().String(), &http.Client{Transport: transport}
	client, err := kalshi.NewClient(signer, kalshi.WithBaseURL(base), kalshi.WithHTTPClient(hc))
	require.NoError(t, err)
	return client
}

func serveRawHTTP2(conn net.Conn, respond func(stream uint32) []byte) {
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
			_, _ = conn.Write(respond(binary.BigEndian.Uint32(head[5:])))
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

func responseFrames(stream uint32, status byte, body string) []byte {
	return append(frame(1, 4, stream, []byte{status}), frame(0, 1, stream, []byte(body))...)
}

// If a stream is reset, net/http sends the request again by itself, provided that
// it can get the body again. Not every reset proves that the request was not
// processed, so a create must not offer its body again. The other calls are sent
// again, by net/http or by the client.
func TestHTTP2_resetStreams(t *testing.T) {
	t.Parallel()
	for _, code := range []uint32{h2ProtocolError, h2InternalError, h2RefusedStream} {
		for _, call := range calls("bot") {
			t.Run(fmt.Sprintf("%s, code %d", call.name, code), func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int64
				client := rawHTTP2(t, func(n int64, stream uint32) []byte {
					requests.Store(n)
					if n == 1 {
						return resetFrame(stream, code)
					}
					return responseFrames(stream, h2OK, `{"api_keys":[],"api_key_id":"new","private_key":"-"}`)
				})
				kind, want := kindOf(call.do(t.Context(), client)), "2 ok"
				if call.creates() {
					want = "1 Unknown"
				}
				assert.Equal(t, want, fmt.Sprintf("%d %s", requests.Load(), kind))
			})
		}
	}
}

// A stream that was refused proves that nothing was processed, so a 404 after it
// is the truth about a delete. Another reset proves nothing.
func TestHTTP2_deleteAfterReset(t *testing.T) {
	t.Parallel()
	for code, want := range map[uint32]string{h2RefusedStream: "2 NotFound", h2InternalError: "2 ok"} {
		var requests atomic.Int64
		client := rawHTTP2(t, func(n int64, stream uint32) []byte {
			requests.Store(n)
			if n == 1 {
				return resetFrame(stream, code)
			}
			return responseFrames(stream, h2NotFound, `{"error":{"code":"not_found","message":"not found"}}`)
		})
		kind := kindOf(client.DeleteAPIKey(t.Context(), spareKeyID))
		assert.Equal(t, want, fmt.Sprintf("%d %s", requests.Load(), kind), "code %d", code)
	}
}
