package test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Bodies without end, plain and compressed, are given up on before they fill
// the memory.
func TestMemory_endlessBodies(t *testing.T) { // not in parallel: it measures the heap
	if testing.Short() || raceEnabled() {
		t.Skip("hundreds of megabytes, and the race detector has its own")
	}
	const limit = 32 << 20 // bytes
	for _, body := range []struct{ name, prefix, chunk string }{
		{"one long string", `{"message":"`, strings.Repeat("a", 32<<10)},
		{"keys", `{"api_keys":[`, strings.Repeat(`{"api_key_id":"x","name":"y","scopes":["read"]},`, 700)},
		{"brackets", `{"api_keys":[`, strings.Repeat("[", 32<<10)},
	} {
		for _, gzipped := range []bool{false, true} {
			prefix, chunk := []byte(body.prefix), []byte(body.chunk)
			if gzipped { // members may follow each other
				prefix, chunk = gzipMember(t, body.prefix), gzipMember(t, strings.Repeat(body.chunk, 32))
			}
			for _, status := range []int{200, 500} {
				t.Run(fmt.Sprintf("%s, gzip %t, %d", body.name, gzipped, status), func(t *testing.T) {
					client, _, _ := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
						if gzipped {
							w.Header().Set("Content-Encoding", "gzip")
						}
						w.WriteHeader(status)
						_, err := w.Write(prefix)
						for err == nil {
							_, err = w.Write(chunk)
						}
					})
					for _, call := range calls("bot") {
						var err error
						peak := peakHeap(func() { err = call.do(t.Context(), client) })
						if call.method != http.MethodDelete || status != 200 {
							assertErrorText(t, err)
						}
						assert.Less(t, peak, int64(limit), "%s: bytes above idle", call.name)
					}
				})
			}
		}
	}
}

// A list of 8 MiB, the most that is read, costs a bounded amount of memory
// whatever it is made of.
func TestMemory_largeLists(t *testing.T) { // not in parallel: it measures the heap
	if testing.Short() || raceEnabled() {
		t.Skip("hundreds of megabytes, and the race detector has its own")
	}
	const size, limit = 8 << 20, 128 << 20 // bytes
	for _, list := range []struct {
		name, open, item, end string
		length                int // of an item, with blanks
	}{
		{"empty keys", `{"api_keys":[{}`, `,{}`, `]}`, 0},
		// As many values as are taken.
		{"empty keys and blanks", `{"api_keys":[{}`, `,{}`, `]}`, 45},
		{"keys with a scope", `{"api_keys":[{}`, `,{"scopes":["xxxxxxxxxxxx"]}`, `]}`, 45},
		{"keys with an odd field", `{"api_keys":[{}`, `,{"name":7}`, `]}`, 45},
		{"fewer keys with odd fields", `{"api_keys":[{}`, `,{"name":7,"scopes":["x"],"api_key_id":"xxxxxxxxxxxx"}`, `]}`, 135},
		{"one long name, no UTF-8", `{"api_keys":[{"name":"`, "\xff", `"}]}`, 0},
	} {
		t.Run(list.name, func(t *testing.T) {
			item := strings.Repeat(" ", max(0, list.length-len(list.item))) + list.item
			body := []byte(list.open + strings.Repeat(item, (size-len(list.open)-len(list.end))/len(item)) + list.end)
			client, _, _ := hostile(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
			var err error
			peak := peakHeap(func() { _, err = client.GetAPIKeys(t.Context()) })
			if err != nil {
				assertErrorText(t, err)
			}
			assert.Less(t, peak, int64(limit), "bytes above idle")
			t.Logf("%d MiB, %v", peak>>20, err)
		})
	}
}

// raceEnabled reports whether the race detector is on.
func raceEnabled() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func gzipMember(t testing.TB, text string) []byte {
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
