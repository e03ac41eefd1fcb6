package kalshi

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Bodies without end, plain and compressed, are given up on before they fill
// the memory.
func TestHostile_memory(t *testing.T) { // not in parallel: it measures the heap
	if testing.Short() || raceEnabled {
		t.Skip("hundreds of megabytes, and the race detector has its own")
	}
	for _, body := range []struct{ name, chunk string }{
		{"one long string", strings.Repeat("a", 32<<10)},
		{"keys", strings.Repeat(`{"api_key_id":"x","name":"y","scopes":["read"]},`, 700)},
		{"brackets", strings.Repeat("[", 32<<10)},
	} {
		for _, gzipped := range []bool{false, true} {
			for _, status := range []int{200, 500} {
				t.Run(fmt.Sprintf("%s, gzip %t, %d", body.name, gzipped, status), func(t *testing.T) {
					prefix := []byte(`{"api_keys":[`)
					if body.chunk[0] == 'a' {
						prefix = []byte(`{"message":"`)
					}
					chunk := []byte(body.chunk)
					if gzipped {
						prefix, chunk = gzipMember(t, string(prefix)), gzipMember(t, strings.Repeat(body.chunk, 32)) // members may follow each other
					}
					c, _, _ := newHostileServer(t, func(w http.ResponseWriter, _ *http.Request) {
						if gzipped {
							w.Header().Set("Content-Encoding", "gzip")
						}
						w.WriteHeader(status)
						_, err := w.Write(prefix)
						for err == nil {
							_, err = w.Write(chunk)
						}
					})
					for _, call := range apiCalls("bot") {
						var err error
						peak := peakHeap(func() { err = call.do(t.Context(), c) })
						if call.method != http.MethodDelete || status != 200 {
							assertTypedError(t, err)
						}
						assert.Less(t, peak, int64(32<<20), "%s: bytes above idle", call.name)
					}
				})
			}
		}
	}
}

func gzipMember(t *testing.T, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	_, err := zip.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	return buf.Bytes()
}

// peakHeap returns by how much the heap's objects, live or not yet collected,
// outgrew those before f at their most.
func peakHeap(f func()) int64 {
	heap := func() int64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	runtime.GC()
	idle, peak := heap(), int64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			peak = max(peak, heap()-idle)
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Microsecond):
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return peak
}
