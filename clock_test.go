package kalshi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What a refused timestamp teaches, and whether a new one is worth sending.
func TestClock_learn(t *testing.T) {
	t.Parallel()
	const hour, day, second = time.Hour, 24 * time.Hour, time.Second
	tests := []struct {
		name     string
		used     time.Duration // the offset that the timestamp was made with
		skew     time.Duration
		undated  bool
		underway time.Duration // from signing to the response
		again    bool          // an earlier attempt of the call was refused
		offset   time.Duration // known afterwards
		retry    bool
	}{
		{name: "behind", skew: hour, offset: hour, retry: true},
		{name: "ahead", skew: -time.Minute, offset: -time.Minute, retry: true},
		{name: "a day behind", skew: day, offset: day, retry: true},
		{name: "more than a day behind", skew: day + 1},
		{name: "more than a day ahead", skew: -day - 1},
		{name: "the clocks agree", skew: 5 * second},
		{name: "the clocks agree again", used: hour, skew: 3 * second, retry: true},
		{name: "another offset", used: hour, skew: 2 * hour, offset: 2 * hour, retry: true},
		{name: "the offset that did not help", used: hour, skew: hour + 5*second, retry: true},
		{name: "an offset that did not help, and no date", used: hour, undated: true, retry: true},
		{name: "long under way", underway: 6 * second, retry: true},
		{name: "not so long under way", underway: 5 * second},
		{name: "no date", undated: true},
		{name: "no date and long under way", used: hour, undated: true, underway: 6 * second, offset: hour, retry: true},
		{name: "a second time, whatever the date says", used: hour, skew: 2 * hour, again: true, retry: true},
		{name: "a second time without an offset", skew: hour, again: true},
	}
	for _, tt := range tests {
		c, signed := new(clock), time.Now()
		c.nanoseconds.Store(int64(tt.used))
		e := &UnauthorizedError{ClockSkew: tt.skew, dated: !tt.undated, timestamp: signed.Add(tt.used), received: signed.Add(tt.underway)}
		retry := c.learn(e, tt.used, tt.again)
		assert.Equal(t, tt.retry, retry, tt.name)
		assert.Equal(t, tt.offset, c.offset(), tt.name)
	}
}
