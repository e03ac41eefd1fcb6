package test

import (
	"crypto"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

// names returns what is in a folder.
func names(dir string) []string { return must1(fs.Glob(os.DirFS(dir), "*")) }

// Save replaces a symbolic link by a file, and leaves its target alone.
func TestKeyFile_Save_symlink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, target := filepath.Join(dir, "link"), filepath.Join(dir, "target")
	require.NoError(t, kalshi.KeyFile(target).Save(t.Context(), credentials("old", newKey())))
	for _, to := range []string{"target", "nothing"} {
		if err := os.Symlink(to, path); err != nil {
			t.Skip("this user may not make symbolic links")
		}
		require.NoError(t, kalshi.KeyFile(path).Check(t.Context()))
		require.NoError(t, kalshi.KeyFile(path).Save(t.Context(), credentials("new", newKey())))
		info, err := os.Lstat(path)
		require.NoError(t, err)
		assert.True(t, info.Mode().IsRegular(), "the link is replaced")
		for name, want := range map[string]string{path: "new", target: "old"} {
			c, err := kalshi.KeyFile(name).Load(t.Context())
			require.NoError(t, err)
			assert.Equal(t, want, c.KeyID())
		}
		require.NoError(t, os.Remove(path))
	}
}

// The file is whole at any moment, whenever a process that saves may be killed.
func TestKeyFile_Save_isOneStep(t *testing.T) {
	t.Parallel()
	file := kalshi.KeyFile(filepath.Join(t.TempDir(), "bot.key"))
	require.NoError(t, file.Save(t.Context(), credentials("first", rsaKey())))
	var saving sync.WaitGroup
	var saved atomic.Bool
	defer saving.Wait()
	saving.Go(func() {
		for range 20 {
			assert.NoError(t, file.Save(t.Context(), credentials("next", newKey())))
		}
		saved.Store(true)
	})
	for !saved.Load() {
		_, err := file.Load(t.Context())
		assert.NoError(t, err)
		for _, name := range names(filepath.Dir(string(file))) {
			assert.Regexp(t, `^bot\.key(\.\d+\.tmp)?$`, name)
		}
	}
}

// OpenSSL, Python and Node read the file as PEM.
func TestKeyFile_otherPrograms(t *testing.T) {
	t.Parallel()
	programs := map[string][]string{
		"openssl": {"openssl", "pkey", "-pubout", "-in"},
		"python3": {"python3", "-c", `
import sys
from cryptography.hazmat.primitives import serialization as s
key = s.load_pem_private_key(open(sys.argv[1], "rb").read(), None)
sys.stdout.write(key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode())`},
		"node": {"node", "-e", `
const key = require("crypto").createPrivateKey(require("fs").readFileSync(process.argv[1]));
process.stdout.write(require("crypto").createPublicKey(key).export({ type: "spki", format: "pem" }));`},
	}
	for name, command := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if version, _ := exec.Command("openssl", "version").Output(); name == "openssl" && strings.HasPrefix(string(version), "LibreSSL") {
				t.Skip("this openssl is LibreSSL, which lacks some key types")
			}
			for _, key := range []crypto.Signer{newKey(), rsaKey()} {
				public, err := kalshi.MarshalPublicKey(key.Public())
				require.NoError(t, err)
				path := filepath.Join(t.TempDir(), "bot.key")
				require.NoError(t, kalshi.KeyFile(path).Save(t.Context(), credentials(spareKeyID, key)))
				var stderr strings.Builder
				cmd := exec.CommandContext(t.Context(), command[0], append(slices.Clone(command[1:]), path)...)
				cmd.Stderr = &stderr
				got, err := cmd.Output()
				if errors.Is(err, exec.ErrNotFound) || strings.Contains(stderr.String(), "No module named") {
					t.Skip(name + ", or its package cryptography, is not installed")
				}
				require.NoError(t, err, &stderr)
				assert.Equal(t, public, strings.ReplaceAll(string(got), "\r\n", "\n"))
			}
		})
	}
}
