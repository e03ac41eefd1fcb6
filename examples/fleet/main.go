// Fleet shows three processes that follow one key file through a rotation.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
)

const usage = `fleet starts three workers, each a process of its own, that call the exchange with the
key in one file. Then it rotates the key in that file, and the workers go on.

It runs against the stand-in only: set none of the variables below.`

// The environment of a worker has this variable.
const workerEnv = "KALSHI_EXAMPLE_FLEET_WORKER"

func main() {
	if os.Getenv(workerEnv) == "" {
		example.Run(usage, fleet)
		return
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// work is what a worker does until its standard input ends: a call every 10 ms.
// To follow the key file it has to do no more than NewClientFromEnv does.
func work() error {
	client, err := kalshi.NewClientFromEnv()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	calls, longest := 0, time.Duration(0)
	for keyID, sameKey := "", 0; ctx.Err() == nil; {
		start := time.Now()
		if _, err := client.GetAPIKeys(context.Background()); err != nil {
			return err
		}
		longest = max(longest, time.Since(start))
		calls++
		sameKey++
		if id := client.Signer().KeyID(); id != keyID {
			keyID, sameKey = id, 1
		}
		if sameKey == 20 {
			fmt.Println("made 20 calls with key", keyID)
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("made %d calls in all, and none failed; the longest took %v\n", calls, longest.Round(time.Millisecond))
	return nil
}

// fleet runs the workers. It prints a line of each at the start, after the
// rotation and at the end.
func fleet(ctx context.Context, s *example.Session) error {
	if s.StandIn == nil {
		return errors.New("fleet runs against the stand-in only: unset the KALSHI_ variables")
	}
	file, err := s.KeyFile()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var workers []*worker
	for n := 1; n <= 3; n++ {
		w, err := start(ctx, fmt.Sprint("worker ", n), "KALSHI_PRIVATE_KEY_PATH="+string(file), "KALSHI_BASE_URL="+s.Client.BaseURL())
		if err != nil {
			return err
		}
		workers = append(workers, w)
	}
	if err := printLines(workers); err != nil {
		return err
	}
	rotated, err := s.Client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Store: file})
	if err != nil {
		return err
	}
	fmt.Printf("rotation  %s is deleted, and %s is in the file\n", rotated.OldKeyID, rotated.NewKeyID)
	if err := printLines(workers); err != nil {
		return err
	}
	for _, w := range workers {
		_ = w.stdin.Close() // tells it to end
	}
	if err := printLines(workers); err != nil {
		return err
	}
	for _, w := range workers {
		if err := w.cmd.Wait(); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// A worker is a child process.
type worker struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Scanner
}

// start starts this program as a worker.
func start(ctx context.Context, name string, env ...string) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(append(os.Environ(), workerEnv+"=1"), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &worker{name, cmd, stdin, bufio.NewScanner(stdout)}, cmd.Start()
}

// printLines prints the next line of each worker.
func printLines(workers []*worker) error {
	for _, w := range workers {
		if !w.lines.Scan() {
			return fmt.Errorf("%s has stopped", w.name)
		}
		fmt.Printf("%s  %s\n", w.name, w.lines.Text())
	}
	return nil
}
