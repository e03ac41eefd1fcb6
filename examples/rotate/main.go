// Rotate replaces the API key in a file by a new one. A crash at any point
// leaves a file with a key that works.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
)

// idLine starts the line before the PEM that names the key, so that one rename
// switches the key and its ID together. ParsePrivateKey skips it.
const idLine = "KALSHI_API_KEY_ID="

var (
	keepOld = flag.Bool("keep-old", false, "leave the old key alive")
	grace   = flag.Duration("grace", 0, "`time` to wait before the old key is deleted, such as 30s")
)

func main() {
	example.Run("rotate replaces the API key in the file KALSHI_PRIVATE_KEY_PATH by a new one.\nA key in KALSHI_PRIVATE_KEY is in no file and cannot be rotated here.", rotate)
}

func rotate(ctx context.Context, s *example.Session) error {
	path, err := keyFile(s)
	if err != nil {
		return err
	}
	current, err := s.Client.CurrentAPIKey(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("file     %s\ninspect  key %s %q, scopes %v\n", path, current.ID, current.Name, current.Scopes)

	rotated, err := s.Client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{
		KeepOld: *keepOld,
		Grace:   *grace,
		Save: func(_ context.Context, key *kalshi.GenerateAPIKeyResponse) error {
			fmt.Printf("mint     key %s\nverify   it works\n", key.ID)
			if err := replace(path, key); err != nil {
				return err
			}
			fmt.Println("save     it is in the file")
			if *grace > 0 && !*keepOld {
				fmt.Println("grace   ", *grace)
			}
			return nil
		},
	})
	if err != nil {
		return explain(path, err)
	}
	fmt.Println("switch   the client signs with", s.Client.Signer().KeyID())
	if *keepOld {
		fmt.Println("keep    ", rotated.OldKeyID, "stays alive")
	} else {
		fmt.Println("delete  ", rotated.OldKeyID, "is gone")
	}
	fmt.Printf("\nStart the next program with %s%s\n", idLine, rotated.NewKeyID)
	return nil
}

// keyFile returns the file that holds the client's key. On the stand-in it
// makes one.
func keyFile(s *example.Session) (string, error) {
	if s.StandIn != nil {
		dir, err := os.MkdirTemp("", "kalshi-go-example-")
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, "key.pem")
		return path, writeKey(path, s.StandIn.KeyID, s.StandIn.PrivateKey)
	}
	path := strings.TrimSpace(os.Getenv("KALSHI_PRIVATE_KEY_PATH"))
	if path == "" {
		return "", errors.New("KALSHI_PRIVATE_KEY_PATH is not set: only a key in a file can be rotated here")
	}
	id, err := readID(path)
	if err == nil && id != "" && id != s.Client.Signer().KeyID() {
		err = fmt.Errorf("the key in %s is %s: set %s to it", path, id, strings.TrimSuffix(idLine, "="))
	}
	return path, err
}

// replace puts the key in the place of the one in the file: it is written to
// a new file beside it, and on disk, before a rename makes it the file.
func replace(path string, key *kalshi.GenerateAPIKeyResponse) error {
	beside := path + "." + key.ID
	if err := writeKey(beside, key.ID, key.PrivateKey.Reveal()); err != nil {
		return err
	}
	if err := os.Rename(beside, path); err != nil {
		return fmt.Errorf("%w (the new key is in %s)", err, beside)
	}
	return syncDir(filepath.Dir(path))
}

// writeKey writes a new key file. WriteFile sees to mode and disk.
func writeKey(path, id, privateKey string) error {
	var text kalshi.PrivateKeyPEM
	if err := text.UnmarshalText([]byte(idLine + id + "\n" + privateKey)); err != nil {
		return err
	}
	return text.WriteFile(path)
}

// readID returns the ID in a key file, or "" if it names none.
func readID(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), idLine); ok {
			return strings.TrimSpace(id), nil
		}
	}
	return "", lines.Err()
}

// syncDir makes the rename last. Where a folder cannot be synced (Windows),
// the system sees to it in its own time.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}

// explain adds to an error what the account and the file hold now.
func explain(path string, err error) error {
	var failed *kalshi.RotationError
	if !errors.As(err, &failed) {
		return err
	}
	account, todo := "has the old key only, which still signs", "nothing is lost: try again later"
	var unknown *kalshi.OutcomeUnknownError
	switch {
	case len(failed.Candidates) > 0:
		account = "has keys of the new name: " + strings.Join(failed.Candidates, ", ")
		todo = "delete those that nobody uses (examples/delete -id ID), then try again"
	case failed.Stage == kalshi.StageDelete:
		account = "has both keys; the new one signs"
		todo = "delete the old one: examples/delete -id " + failed.OldKeyID
	case failed.Key != nil:
		account = "has both keys; the old one still signs"
		todo = "delete the new one (examples/delete -id " + failed.NewKeyID + "), then try again"
	case failed.NewKeyID != "" && failed.Stage == kalshi.StageMint:
		account = "has the new key " + failed.NewKeyID + ", its private half lost"
		todo = "delete it (examples/delete -id " + failed.NewKeyID + "), then try again"
	case errors.As(err, &unknown):
		account = "may have a new key of the name " + strconv.Quote(unknown.KeyName)
		todo = "list the keys (examples/list), delete one that was not there before, then try again"
	}
	file := "could not be read"
	if id, err := readID(path); err == nil {
		switch id {
		case "":
			file = "is unchanged"
		case failed.NewKeyID:
			file = "holds the new key " + id
			if failed.Stage == kalshi.StageSave {
				todo = "the file is right: set " + idLine + id + " and delete the old key: examples/delete -id " + failed.OldKeyID
			}
		default:
			file = "holds the old key " + id
		}
	}
	return fmt.Errorf("%w\n\nstopped  at %s, %s\naccount  %s\nfile     %s\nto do    %s",
		err, failed.Stage, time.Now().Format(time.TimeOnly), account, file, todo)
}
