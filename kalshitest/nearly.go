package kalshitest

// Timestamps and key IDs that are nearly right.

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// timestamp diagnoses a timestamp that is missing, malformed or out of bounds. It
// is not quoted, since anything may have been put into the header.
func (r *rejected) timestamp(now time.Time) diagnosis {
	text := strings.TrimSpace(r.request.Header.Get(headerTimestamp))
	number, fraction, _ := strings.Cut(text, ".")
	value, err := strconv.ParseInt(number, 10, 64)
	var d diagnosis
	switch {
	case text == "":
		d.says = []string{"there is no KALSHI-ACCESS-TIMESTAMP header: send the time in it, in Unix milliseconds"}
	case dateText.MatchString(text):
		d.says = []string{"the timestamp is a date: send Unix milliseconds"}
	case err != nil || strings.Trim(fraction, "0123456789") != "":
		d.says = []string{"the timestamp is not a number: send Unix milliseconds"}
	default:
		d.says = timeDiagnosis(value, number != text, now)
	}
	if r.request.Header.Get(headerSignature) != "" && r.replayed() {
		d.says = append(d.says, saysReplayed)
	}
	return d
}

var dateText = regexp.MustCompile(`^\d{4}-\d\d-\d\d[T ]|^[A-Z][a-z]{2}, \d`)

// timeUnits are the units that a timestamp may be in, the right one first.
var timeUnits = []struct {
	name string
	time func(n int64) time.Time
}{
	{"", time.UnixMilli},
	{"seconds", func(n int64) time.Time { return time.Unix(n, 0) }},
	{"microseconds", time.UnixMicro},
	{"nanoseconds", func(n int64) time.Time { return time.Unix(0, n) }},
}

// near is how far from the clock a timestamp in the right unit may be.
const near = 365 * 24 * time.Hour

// timeDiagnosis says what is wrong with a time.
func timeDiagnosis(value int64, fraction bool, now time.Time) (says []string) {
	if fraction {
		says = []string{"the timestamp has a fraction: send whole milliseconds"}
	}
	for _, unit := range timeUnits {
		off := unit.time(value).Sub(now)
		if off.Abs() > near {
			continue
		}
		if unit.name != "" {
			says = append(says, "the timestamp is in "+unit.name+": send milliseconds")
		}
		direction := "ahead of"
		if off < 0 {
			direction = "behind"
		}
		if off.Abs() > clockTolerance {
			says = append(says, "the timestamp is "+off.Abs().Round(time.Millisecond).String()+" "+direction+
				" the server's clock: set the client's clock")
		}
		return says
	}
	return append(says, "the timestamp is more than a year from the server's clock: send Unix milliseconds")
}

// A slip is something that happens to a key ID on its way into a program.
type slip struct {
	says   string
	remove func(id string) string
}

// slips are removed one after the other.
var slips = []slip{
	{"blanks", func(id string) string { return blanks.ReplaceAllString(id, "") }},
	{"quotes", func(id string) string { return strings.Trim(id, "\"'`\u2018\u2019\u201c\u201d") }},
	{"brackets", func(id string) string { return strings.Trim(id, "<>[](){}") }},
}

var blanks = regexp.MustCompile(`[\s\x{a0}\x{200b}\x{feff}]+|%20|\\[rnt]`)

// minID is the length of the shortest part of an ID that cannot be there by
// chance.
const minID = 8

// keyID diagnoses a key ID that is unknown.
func (r *rejected) keyID() diagnosis {
	var d diagnosis
	var meant string
	for _, key := range r.others {
		if what := difference(r.request.KeyID, key.ID); what != "" {
			meant = key.ID
			d.says = append(d.says, "the key ID differs from the known ID "+strconv.QuoteToASCII(meant)+" only in "+what)
			break
		}
	}
	if signature, _ := decodeSignature(r.request.Header.Get(headerSignature)); signature != nil {
		says, signedBy := newSearch(r, signature).run()
		d.signedBy = signedBy
		if signedBy != meant {
			d.says = append(d.says, says...)
		}
	}
	return d
}

// difference returns how id differs from known if it does so by a slip, and
// otherwise "".
func difference(id, known string) string {
	var found []string
	for _, s := range slips {
		if rest := s.remove(id); rest != id {
			id, found = rest, append(found, s.says)
		}
	}
	if id == known {
		return strings.Join(found, " and ")
	}
	switch lower, known := strings.ToLower(id), strings.ToLower(known); {
	case lower == known:
		found = append(found, "the case of its letters")
	case len(known) < minID || len(id) < minID:
		return ""
	case strings.Contains(lower, known):
		found = append(found, "characters before or after it")
	case strings.HasPrefix(known, lower) || strings.HasSuffix(known, lower):
		found = append(found, "characters that are missing at one end")
	case lower == strings.ReplaceAll(known, "-", ""):
		found = append(found, "missing hyphens")
	case oneApart(lower, known):
		found = append(found, "one character")
	default:
		return ""
	}
	return strings.Join(found, " and ")
}

// oneApart reports whether one inserted, deleted or replaced byte makes a of b.
func oneApart(a, b string) bool {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 1 && len(b) <= 1
}
