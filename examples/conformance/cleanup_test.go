package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A run that is interrupted, at any request, leaves no key.
func TestConform_interrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []int{1, 2, 3, 4, 9, 25, 60, 100} {
		t.Run(fmt.Sprintf("request %d", at), func(t *testing.T) {
			inBubble(t, func(t *testing.T, x *exchange) {
				ctx, cancel := context.WithCancel(t.Context())
				count := -2 // the session starts with two lists
				x.proxy = func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
					if count++; count == at {
						cancel()
					}
					if err := req.Context().Err(); err != nil {
						return nil, err
					}
					return next.RoundTrip(req)
				}
				r, status := x.conform(ctx, t)
				assert.Equal(t, 1, status)
				assert.Empty(t, r.facts(differs))
				assert.Contains(t, r.facts(notTried), "a key that deletes itself")
				assert.Empty(t, r.Left)
				assert.Greater(t, count, at, "requests of the clean-up")
				x.assertOnlyFirstKey(t)
			})
		})
	}
}

// A request for a key is not given up when the run is interrupted: the service could
// make the key after the clean-up.
func TestConform_interruptedPOST(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		ctx, cancel := context.WithCancel(t.Context())
		x.proxy = func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if req.Method != http.MethodPost {
				return next.RoundTrip(req)
			}
			cancel()
			select {
			case <-time.After(time.Second):
				return next.RoundTrip(req)
			case <-req.Context().Done():
				late := req.Clone(context.WithoutCancel(req.Context()))
				time.AfterFunc(8*time.Second, func() { // by then it is too late to be found
					if resp, err := next.RoundTrip(late); err == nil {
						_ = resp.Body.Close()
					}
				})
				return nil, req.Context().Err()
			}
		}
		_, status := x.conform(ctx, t)
		assert.Equal(t, 1, status)
		time.Sleep(9 * time.Second)
		x.assertOnlyFirstKey(t)
	})
}

// A key whose response was lost is found by its name. Nothing else is deleted.
func TestConform_lostResponse(t *testing.T) {
	for _, nth := range []int{1, 3, 7} {
		t.Run(fmt.Sprintf("POST %d", nth), func(t *testing.T) {
			inBubble(t, func(t *testing.T, x *exchange) {
				others := []kalshitest.Key{
					x.AddKey(kalshitest.Key{Name: "kalshi-go conformance"}),
					x.AddKey(kalshitest.Key{Name: "my kalshi-go conformance 01234567 read"}),
					x.AddKey(kalshitest.Key{Name: "kalshi-go conformance 01234567 read"}), // of another run
				}
				count := 0
				x.proxy = func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
					resp, err := next.RoundTrip(req)
					if req.Method == http.MethodPost && resp.StatusCode == http.StatusCreated {
						if count++; count == nth {
							return nil, errors.New("connection lost")
						}
					}
					return resp, err
				}
				r, status := x.conform(t.Context(), t)
				assert.Equal(t, 1, status)
				assert.NotEmpty(t, r.facts(differs))
				assert.Empty(t, r.Left)
				assert.Equal(t, map[string]string{others[2].ID: others[2].Name}, r.Earlier)
				assert.Len(t, x.Keys(), 1+len(others))
			})
		})
	}
}

// Keys that cannot be deleted are named, with the command that deletes them.
func TestConform_deleteFails(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		x.Inject(kalshitest.Fault{Method: http.MethodDelete, Status: http.StatusInternalServerError, Times: -1})
		var out bytes.Buffer
		assert.Equal(t, 1, x.session(t.Context(), t).report(t.Context(), false, &out, io.Discard))
		x.assertSecret(t, out.String())
		left := x.Keys()[1:]
		assert.Greater(t, len(left), 5)
		for _, key := range left {
			assert.Contains(t, out.String(), fmt.Sprintf("This key could not be deleted: %q.", key.Name))
			assert.Contains(t, out.String(), fmt.Sprintf("KALSHI_BASE_URL=%s go run ./examples/delete -id '%s'\n", x.URL, key.ID))
		}
		assert.NotContains(t, out.String(), "No key of this run is left.")
	})
}

// A delete that fails for a while is made again.
func TestConform_deleteFailsForAWhile(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		x.Inject(kalshitest.Fault{Method: http.MethodDelete, Status: http.StatusInternalServerError, Times: 20})
		r, _ := x.conform(t.Context(), t)
		assert.Empty(t, r.Left)
		x.assertOnlyFirstKey(t)
	})
}

// When the list fails at the end, the keys whose IDs are known are deleted, and the
// output says that others may be left.
func TestConform_listFails(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		lost := false
		x.proxy = func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if lost && req.Method == http.MethodGet {
				return nil, errors.New("connection lost")
			}
			resp, err := next.RoundTrip(req)
			lost = lost || resp.StatusCode == http.StatusCreated
			return resp, err
		}
		var out bytes.Buffer
		s := x.session(t.Context(), t)
		assert.Equal(t, 1, s.report(t.Context(), false, &out, io.Discard))
		assert.Contains(t, out.String(), "The keys could not be listed: ")
		assert.Contains(t, out.String(), fmt.Sprintf(`"kalshi-go conformance %s …" may be left`, s.run))
		assert.NotContains(t, out.String(), "No key of this run is left.")
		x.assertOnlyFirstKey(t)
	})
}

// A service that hangs ends the clean-up after a minute.
func TestConform_serviceHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		ctx, cancel := context.WithCancel(t.Context())
		var since time.Time
		x.proxy = func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodPost && since.IsZero() {
				defer func() { since = time.Now(); cancel() }()
			} else if !since.IsZero() {
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return next.RoundTrip(req)
		}
		r, status := x.conform(ctx, t)
		assert.Equal(t, 1, status)
		assert.Len(t, r.Left, 1)
		assert.NotEmpty(t, r.Unknown)
		assert.Less(t, time.Since(since), 2*time.Minute)
	})
}

func TestConform_panic(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		rows := 0
		assert.PanicsWithValue(t, "a mistake", func() {
			_, _ = x.session(t.Context(), t).conform(t.Context(), func(row) {
				if rows++; rows == 40 {
					assert.Greater(t, len(x.Keys()), 5)
					panic("a mistake")
				}
			})
		})
		x.assertOnlyFirstKey(t)
	})
}

// A run that was killed leaves keys. The next one names them, and deletes them only
// with -cleanup.
func TestCleanUpEarlier(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		other := x.AddKey(kalshitest.Key{Name: "kalshi-go conformance of mine"})
		first := x.AddKey(kalshitest.Key{Name: "kalshi-go conformance 01234567 rsa"})
		second := x.AddKey(kalshitest.Key{Name: "kalshi-go conformance 89abcdef check"})

		var out, errs bytes.Buffer
		assert.Zero(t, x.session(t.Context(), t).report(t.Context(), false, &out, &errs))
		for _, key := range []kalshitest.Key{first, second} {
			assert.Contains(t, out.String(), fmt.Sprintf("    %q %q\n", key.ID, key.Name))
		}
		assert.Contains(t, out.String(), "-cleanup deletes them")
		assert.Len(t, x.Keys(), 4)

		x.Inject(kalshitest.Fault{Method: http.MethodDelete, Status: http.StatusForbidden})
		assert.Equal(t, 1, x.session(t.Context(), t).cleanUpEarlier(t.Context(), &out, &errs))
		assert.Contains(t, errs.String(), first.ID)
		assert.Zero(t, x.session(t.Context(), t).cleanUpEarlier(t.Context(), &out, &errs))
		assert.Contains(t, out.String(), fmt.Sprintf("%q %q is deleted\n", second.ID, second.Name))
		require.Len(t, x.Keys(), 2)
		assert.Equal(t, other.ID, x.Keys()[1].ID)

		out.Reset()
		assert.Zero(t, x.session(t.Context(), t).cleanUpEarlier(t.Context(), &out, &errs))
		assert.Equal(t, "No earlier run left a key.\n", out.String())
	})
}

// A key that signs is never deleted, whatever its name is.
func TestCleanUpEarlier_ownKey(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		own := x.AddKey(kalshitest.Key{Name: "kalshi-go conformance 01234567 rsa"})
		x.KeyID, x.PrivateKey = own.ID, own.PrivateKey
		assert.Zero(t, x.session(t.Context(), t).cleanUpEarlier(t.Context(), io.Discard, io.Discard))
		assert.Len(t, x.Keys(), 2)
	})
}

// A service that names a key which was there before as the new one does not have
// that key deleted.
func TestConform_newKeyIsAnOldOne(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		old := x.AddKey(kalshitest.Key{Name: "bot"})
		x.proxy = func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if req.Header.Get(headerKey) == old.ID { // the new key signed; the stand-in would look for what is wrong with that, each time
				return &http.Response{StatusCode: 401, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(wrongSignatureBody))}, nil
			}
			resp, err := next.RoundTrip(req)
			if err == nil && resp.StatusCode == http.StatusCreated {
				body := readBody(resp)
				setBody(resp, strings.ReplaceAll(string(body), reply{body: body}.value("api_key_id"), old.ID))
			}
			return resp, err
		}
		_, status := x.conform(t.Context(), t)
		assert.Equal(t, 1, status)
		require.Len(t, x.Keys(), 2)
		assert.Equal(t, old.ID, x.Keys()[1].ID)
	})
}
