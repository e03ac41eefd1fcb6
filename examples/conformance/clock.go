package main

import (
	"context"
	"fmt"
	"time"
)

// Which timestamps are accepted. They are counted from the service's clock, as its
// Date tells it to half a second.

const aDay = 24 * time.Hour

var clock = []check{
	{"the Date of the response to an expired timestamp", observed, "there", dated},
	late(2*time.Second, observed, "accepted"),
	late(5*time.Second, decided, "accepted"),
	late(9*time.Second, observed, "accepted"), // 10, but for the way there
	late(30*time.Second, observed, expired),
	late(time.Minute, observed, expired),
	late(-2*time.Second, observed, "accepted"),
	late(-5*time.Second, decided, "accepted"),
	late(-9*time.Second, observed, "accepted"),
	late(-30*time.Second, decided, expired),
	late(-time.Minute, observed, expired),
}

// late makes the check of a timestamp that is behind the service's clock, or
// ahead of it.
func late(behind time.Duration, m mark, want string) check {
	direction := "slow"
	if behind < 0 {
		direction = "fast"
	}
	fact := fmt.Sprintf("a timestamp that is %v s %s", behind.Abs().Seconds(), direction)
	return check{fact, m, want, authenticates(request{path: "/api_keys", late: behind})}
}

// dated tells how far the Date of a response is from this machine's clock.
func dated(ctx context.Context, s *session) (string, error) {
	got, err := s.send(ctx, request{path: "/api_keys", late: aDay})
	ahead, ok := got.ahead()
	if err != nil || !ok {
		return "none", err
	}
	return fmt.Sprintf("there (%+.1f s from the clock here)", ahead.Seconds()), nil
}
