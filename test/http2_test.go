package test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

// The codes of HTTP/2 streams that are reset, and of status 200.
const (
	h2ProtocolError = 1
	h2InternalError = 2
	h2RefusedStream = 7
	h2OK            = 0x88
)

// listenHTTP2 listens for HTTP/2 on the loopback interface, where the transport trusts what it
// connects to. An Ed25519 certificate costs the least.
func listenHTTP2(transport *http.Transport) net.Listener {
	key, roots := newKey(), x509.NewCertPool()
	loopback := []net.IP{net.IPv4(127, 0, 0, 1)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: loopback}
	der := must1(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	roots.AddCert(must1(x509.ParseCertificate(der)))
	certificates := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	transport.TLSClientConfig, transport.ForceAttemptHTTP2 = &tls.Config{RootCAs: roots}, true
	return must1(tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}}))
}

// rawHTTP2 starts a server that speaks just enough HTTP/2 to respond to each
// whole request, which it has then processed, with raw frames.
func rawHTTP2(t *testing.T, respond func(n int64, stream uint32) []byte) *kalshi.Client {
	t.Helper()
	transport := new(http.Transport)
	listener := listenHTTP2(transport)
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
	t.Cleanup(transport.CloseIdleConnections)
	base, hc := "https://"+listener.Addr().String(), &http.Client{Transport: transport}
	return must1(kalshi.NewClient(must1(kalshi.NewSigner("id", newKey())), kalshi.WithBaseURL(base), kalshi.WithHTTPClient(hc)))
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

func responseFrames(stream uint32, body string) []byte {
	return append(frame(1, 4, stream, []byte{h2OK}), frame(0, 1, stream, []byte(body))...)
}

// What the calls and a bot's requests make of a stream that is reset: the number of requests, each
// of which was processed, and the kind of the result. net/http sends one with GetBody again by
// itself, and not every reset proves that it was not processed: a create and an order are sent
// once. What changes nothing by being repeated is sent again, by net/http or by the client.
func TestHTTP2_resetStreams(t *testing.T) {
	t.Parallel()
	const path = "/portfolio/orders"
	all := append(calls("bot"),
		botCall("order", http.MethodPost, path, order),
		botCall("cancel with a body", http.MethodDelete, path, order),
		botCall("cancel", http.MethodDelete, path, ""),
		botCall("balance", http.MethodGet, path, ""),
	)
	wants := map[string]string{
		"CreateAPIKey": "1 Unknown", "GenerateAPIKey": "1 Unknown", "order": "1 Transport", "cancel with a body": "1 Transport",
		"cancel, code 2": "1 Transport", // net/http alone would send it again, and does not after this one
	}
	for _, code := range []uint32{h2ProtocolError, h2InternalError, h2RefusedStream} {
		for _, call := range all {
			t.Run(fmt.Sprintf("%s, code %d", call.name, code), func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int64
				client := rawHTTP2(t, func(n int64, stream uint32) []byte {
					requests.Store(n)
					if n == 1 {
						return resetFrame(stream, code)
					}
					return responseFrames(stream, `{"api_keys":[],"api_key_id":"new","private_key":"-"}`)
				})
				err := call.do(t.Context(), client)
				want := cmp.Or(wants[fmt.Sprintf("%s, code %d", call.name, code)], wants[call.name], "2 ok")
				got := fmt.Sprintf("%d %s", requests.Load(), kindOf(err))
				if call.name == "cancel" && got == "1 Transport" {
					want = got // net/http may send it again, and that of Go 1.27 does not
				}
				assert.Equal(t, want, got, "%v", err)
				assert.False(t, isA[*kalshi.NotSentError](err))
			})
		}
	}
}

// A brokenConn cannot write once it is broken.
type brokenConn struct {
	net.Conn
	broken *atomic.Bool
}

func (c brokenConn) Write(p []byte) (int, error) {
	if c.broken.Swap(false) {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// Over HTTP/1, net/http sends again what it could not write to a connection that
// was idle: that is safe, and spares an order its failure.
func TestHTTP1_nothingWritten(t *testing.T) {
	t.Parallel()
	x, broken := onLoopback(t), new(atomic.Bool)
	orders := x.handleBot()
	x.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return brokenConn{conn, broken}, err
	}
	client := x.client()
	require.NoError(t, placeOrder(client.HTTPClient(), x.URL))
	broken.Store(true)
	require.NoError(t, placeOrder(client.HTTPClient(), x.URL))
	assert.False(t, broken.Load(), "the first connection broke")
	assert.EqualValues(t, 2, orders.Load())
}
