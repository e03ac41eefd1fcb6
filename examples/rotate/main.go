// Rotate replaces the API key in a key file by a new one. If it is killed, the
// file holds a key that works: the old one or the new one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
)

var (
	of      *kalshi.KeyFile // nil without -of; not empty, as with a script's unset variable
	keepOld = flag.Bool("keep-old", false, "leave the old key alive")
	grace   = flag.Duration("grace", 0, "`time` to wait before the old key is deleted, such as 30s")
)

const usage = `rotate replaces the API key in the file KALSHI_PRIVATE_KEY_PATH by a new one of the
same rights. The programs on that file go on with the new key.

A key that rotates itself needs the scopes read and write. Rotate any other key by
an admin key in the environment and -of.`

func main() {
	flag.Func("of", "rotate the key in this key `file`, and list, make and delete with the environment's key", func(path string) error {
		of = new(kalshi.KeyFile(path))
		return nil
	})
	example.Run(usage, rotate, kalshi.WithLogger(slog.New(newStages(os.Stdout))))
}

func rotate(ctx context.Context, s *example.Session) error {
	req := kalshi.RotateAPIKeyRequest{KeepOld: *keepOld, Grace: *grace}
	file, err := s.KeyFile()
	if of != nil {
		file = *of
		req.Signer, err = kalshi.NewSignerFromSource(ctx, of.Load)
	}
	if err != nil {
		return err
	}
	req.Store = file
	fmt.Println("Key file  ", file)
	rotated, err := s.Client.RotateAPIKey(ctx, req)
	if err != nil {
		return explain(err)
	}
	if *keepOld {
		fmt.Println("Kept       the old key", rotated.OldKeyID)
	}
	if rotated.OldKeyGone {
		fmt.Println("Gone       the old key did not exist any more: has another process rotated it, too?")
	}
	if rotated.Warning != "" {
		fmt.Println("Warning   ", rotated.Warning)
	}
	return nil
}

// explain adds to the error of a rotation which keys there are now, and what to
// do.
func explain(err error) error {
	var failed *kalshi.RotationError
	if !errors.As(err, &failed) {
		return err
	}
	file, account, todo := "is unchanged", "has the old key only", "remove the cause and try again"
	var unknown *kalshi.OutcomeUnknownError
	switch {
	case failed.Stage == kalshi.StageDelete:
		file, account = "has the new key", "has both keys"
		todo = "delete the old one: examples/delete -id " + failed.OldKeyID
	case len(failed.Candidates) > 0:
		account = "has new keys that may be the lost one: " + strings.Join(failed.Candidates, ", ")
		todo = "delete those that nobody uses (examples/delete -id ID), then try again"
	case failed.NewKeyID != "":
		account = "has both keys"
		todo = "delete the new one (examples/delete -id " + failed.NewKeyID + "), then try again"
	case errors.As(err, &unknown):
		account = fmt.Sprintf("may have a new key named %q", unknown.KeyName)
		todo = "list the keys (examples/list), delete one that was not there before, then try again"
	}
	return fmt.Errorf("%w\n\nKey file   %s\nAccount    %s\nTo do      %s", err, file, account, todo)
}
