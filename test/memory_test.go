package test

import (
	"bytes"
	"compress/gzip"
	"errors"
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

// Bodies without end, plain and compressed, are given up on before they fill the memory.
func TestMemory_endlessBodies(t *testing.T) { // not in parallel: it measures the heap
	skipUnlessMeasured(t)
	const limit = 32 << 20 // bytes
	prefix, chunk := []byte(`{"api_keys":[`), bytes.Repeat([]byte(`{"api_key_id":"x","name":"y","scopes":["read"]},`), 700)
	zippedPrefix, zippedChunk := gzipMember(t, prefix), gzipMember(t, bytes.Repeat(chunk, 32)) // members may follow each other
	for _, gzipped := range []bool{false, true} {
		for _, status := range []int{200, 500} {
			client, _, _ := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
				first, next := prefix, chunk
				if gzipped {
					first, next = zippedPrefix, zippedChunk
					w.Header().Set("Content-Encoding", "gzip")
				}
				w.WriteHeader(status)
				for _, err := w.Write(first); err == nil; {
					_, err = w.Write(next)
				}
			})
			for _, call := range calls("bot")[:2] { // the others' bodies are read alike
				var err error
				peak := peakHeap(func() { err = call.do(t.Context(), client) })
				assertErrorText(t, err)
				assert.Less(t, peak, int64(limit), "gzip %t, %d, %s: bytes above idle", gzipped, status, call.name)
			}
		}
	}
}

// A list of 2 MiB, the most that is read, costs a bounded amount of memory.
func TestMemory_largeLists(t *testing.T) { // not in parallel: it measures the heap
	skipUnlessMeasured(t)
	const size, limit = 2 << 20, 128 << 20                      // bytes
	for _, item := range []string{"{}", `{"api_key_id":"x"}`} { // the shortest, and the shortest one that is a key
		body := []byte(`{"api_keys":[` + strings.Repeat(item+",", (size-100)/(len(item)+1)) + item + "]}")
		client, _, _ := hostile(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
		var err error
		peak := peakHeap(func() { err = list(t.Context(), client) })
		assert.Less(t, peak, int64(limit), "bytes above idle, of %s", item)
		t.Logf("%s: %d MiB, %v", item, peak>>20, err)
	}
}

// skipUnlessMeasured skips a test that takes hundreds of megabytes, to which
// the race detector would add its own.
func skipUnlessMeasured(t testing.TB) {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	race := ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
	if testing.Short() || race {
		t.Skip("measures memory")
	}
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

// gzipMember compresses a text; members may follow each other.
func gzipMember(t testing.TB, text []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	_, err := zip.Write(text)
	require.NoError(t, errors.Join(err, zip.Close()))
	return buf.Bytes()
}
