package test

import (
	"context"
	"crypto"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

// slowly returns a source that takes that long from its second call on.
func slowly(took time.Duration, result resultFunc) resultFunc {
	return func(ctx context.Context, n int) (string, crypto.Signer, error) {
		if n > 0 {
			time.Sleep(took)
		}
		if ctx.Err() != nil {
			return "", nil, ctx.Err()
		}
		return result(ctx, n)
	}
}

// The source of a dead key is asked once a second, however many callers wait.
func TestSource_asksOnceASecond(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const callers, calls = 100, 5
		run := newSourceRun(t, "", give("dead"))
		began := time.Now()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range calls {
					assert.ErrorContains(t, run.list(t.Context()), "the key source gave the same key")
				}
			})
		}
		wg.Wait()
		assert.Equal(t, calls*time.Second, time.Since(began), "each call waits for a question of its own time")
		run.assertAsked(t, 1+calls)

		run.accept = "dead" // it lives again
		require.NoError(t, run.list(t.Context()))
		run.assertAsked(t, 1+calls)
	})
}

// A question serves the calls that were refused before it. Later ones need
// another question.
func TestSource_resultServesAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun(t, "second", slowly(5*time.Second, give("first", "first", "second")))
		time.Sleep(time.Minute)
		began := time.Now()
		var wg sync.WaitGroup
		for at, took := range map[time.Duration]time.Duration{
			0:                       5 * time.Second, // served by the question at 0 s
			500 * time.Millisecond:  6 * time.Second, // by the one at 1 s
			700 * time.Millisecond:  6 * time.Second,
			1500 * time.Millisecond: 6 * time.Second, // too, by the key that it brought; its own is asked at 2 s
		} {
			wg.Go(func() {
				time.Sleep(at)
				err := run.list(t.Context())
				assert.Equal(t, took, time.Since(began), at)
				assert.Equal(t, at == 0, err != nil, at)
			})
		}
		wg.Wait()
		time.Sleep(time.Second) // until the source has returned from the last question
		run.assertAsked(t, 4)
	})
}

// An earlier question may bring the key while a call waits for its own.
func TestSource_earlierResultHelps(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun(t, "second", slowly(400*time.Millisecond, give("first", "second")))
		began := time.Now()
		go func() { _ = run.signer.Reload(t.Context()) }()
		time.Sleep(100 * time.Millisecond)
		require.NoError(t, run.list(t.Context()))
		assert.Equal(t, 400*time.Millisecond, time.Since(began))
		assert.Len(t, run.asked, 2)
	})
}

// A call that is cancelled leaves the question to the others.
func TestSource_cancelFailsNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun(t, "second", slowly(5*time.Second, give("first", "second")))
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- run.list(ctx) }()
		go func() { second <- run.list(t.Context()) }()
		time.AfterFunc(2*time.Second, cancel) // a second after the question
		err := <-first
		assert.ErrorIs(t, err, context.Canceled)
		assert.True(t, isA[*kalshi.UnauthorizedError](err))
		assert.Equal(t, 2*time.Second, time.Since(began), "at once")
		require.NoError(t, <-second)
		assert.Equal(t, 6*time.Second, time.Since(began))
		run.assertAsked(t, 2)
	})
}

// A call that is refused within a second of the last question waits for the
// next one, until its context ends.
func TestSource_cancelledBeforeItAsks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun(t, "", give("dead"))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		err := run.list(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, isA[*kalshi.UnauthorizedError](err))
		assert.ErrorContains(t, err, "; waiting for the key source: context deadline exceeded")
		assert.Equal(t, 300*time.Millisecond, time.Since(began))
		run.assertAsked(t, 1)
	})
}

// A question without a result does not prevent the next one.
func TestSource_asksBesideADeafQuestion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		stuck, result := deaf(t), give("first", "", "second")
		run := newSourceRun(t, "second", func(ctx context.Context, n int) (string, crypto.Signer, error) {
			if n == 1 {
				return stuck(ctx, n)
			}
			return result(ctx, n)
		})
		go func() { _ = run.signer.Reload(t.Context()) }()
		synctest.Wait()
		began := time.Now()
		require.NoError(t, run.list(t.Context()), "the next question brings the key")
		assert.Equal(t, time.Second, time.Since(began))
	})
}

// A source that flaps between dead keys keeps no call busy for long.
func TestSource_flappingSource(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const callers = 20
		run := newSourceRun(t, "", flap())
		run.send = func(req *http.Request) (*http.Response, error) {
			time.Sleep(time.Duration(run.sent.Load()%7) * 300 * time.Millisecond) // out of step
			return respond(req, 401, unknownKeyBody)
		}
		began := time.Now()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() { assert.Equal(t, "Unauthorized", kindOf(run.list(t.Context()))) })
		}
		wg.Wait()
		assert.Less(t, time.Since(began), 20*time.Second)
	})
}

// A key that is replaced while a question hangs is noticed.
func TestSource_replacedDuringADeafQuestion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun(t, "second", first("first", deaf(t)))
		time.Sleep(time.Minute)
		began := time.Now()
		time.AfterFunc(10*time.Second, func() { assert.NoError(t, run.signer.Replace("second", newKey())) })
		require.NoError(t, run.list(t.Context()))
		assert.LessOrEqual(t, time.Since(began), 11*time.Second)
	})
}

// A result that arrives after the key was switched is out of date.
func TestSource_lateResult(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *kalshi.Client) string{
		"replaced": func(t *testing.T, c *kalshi.Client) string {
			require.NoError(t, c.Signer().Replace("replaced", newKey()))
			return "replaced"
		},
		"rotated": func(t *testing.T, c *kalshi.Client) string {
			got, err := rotate(t.Context(), c)
			require.NoError(t, err)
			return got.NewKeyID
		},
		"reloaded": func(t *testing.T, c *kalshi.Client) string {
			require.NoError(t, c.Signer().Reload(t.Context()))
			return "third"
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				x := inMemory(t)
				key, err := kalshi.ParsePrivateKey([]byte(x.PrivateKey))
				require.NoError(t, err)
				release := make(chan struct{})
				asked := 0
				signer, err := kalshi.NewSignerFromSource(t.Context(), func(context.Context) (string, crypto.Signer, error) {
					asked++
					switch asked {
					case 1:
						return x.KeyID, key, nil
					case 2:
						<-release
						return "second", key, nil
					}
					return "third", key, nil
				})
				require.NoError(t, err)
				reloaded := make(chan error)
				go func() { reloaded <- signer.Reload(t.Context()) }()
				synctest.Wait()
				want := change(t, x.clientOf(t, signer))
				close(release)
				require.NoError(t, <-reloaded)
				assert.Equal(t, want, signer.KeyID())
			})
		})
	}
}
