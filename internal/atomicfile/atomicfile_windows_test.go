package atomicfile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Another process that has the file open is waited for.
func TestRetry(t *testing.T) {
	t.Parallel()
	ops := map[string]func(path string) error{
		"replace": func(path string) error { return Replace(path, []byte("new")) },
		"read":    func(path string) error { _, err := Read(path, 1); return err },
	}
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for held, ok := range map[time.Duration]bool{1900 * time.Millisecond: true, 2100 * time.Millisecond: false} {
				synctest.Test(t, func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "file")
					require.NoError(t, os.WriteFile(path, nil, 0o600))
					name, err := syscall.UTF16PtrFromString(path)
					require.NoError(t, err)
					handle, err := syscall.CreateFile(name, syscall.GENERIC_READ, 0, nil, syscall.OPEN_EXISTING, 0, 0) // shared with nobody
					require.NoError(t, err)
					go func() {
						time.Sleep(held)
						_ = syscall.CloseHandle(handle)
					}()
					start := time.Now()
					err = op(path)
					assert.Equal(t, ok, err == nil, "held for %v: %v", held, err)
					assert.WithinDuration(t, start.Add(min(held, 2*time.Second)), time.Now(), 20*time.Millisecond)
					start = time.Now()
					_, err = Read(path+".none", 1)
					require.ErrorIs(t, err, os.ErrNotExist)
					assert.Equal(t, start, time.Now(), "no other error is waited for")
					time.Sleep(time.Second)
				})
			}
		})
	}
}
