package main

import (
	"context"
	"errors"
	"strings"
	"unicode"
)

// A mark says how a fact is known.
type mark string

const (
	documented mark = "documented" // by Kalshi
	observed   mark = "observed"   // by others, on the wire
	decided    mark = "decided"    // by the stand-in, since nobody has said
)

// A check holds one fact against the service.
type check struct {
	fact string
	mark mark
	want string // what run should find; see holds
	run  run
}

// A run finds out what a fact is.
type run func(ctx context.Context, s *session) (found string, err error)

// checks are all facts, in the order in which they are tried.
func checks() []check {
	var all []check
	for _, topic := range [][]check{signing, keys, parameters, errorBodies, clock, rights, lifetime, untried} {
		all = append(all, topic...)
	}
	return all
}

// A row is the result of a check.
type row struct {
	Fact     string `json:"fact"`
	Mark     mark   `json:"mark"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
	Result   result `json:"result"`
}

// A result says whether a fact holds.
type result string

const (
	same     result = "same"
	differs  result = "differs"
	notTried result = "not tried" // Found says why
)

// An untriedError says why a check could not be made.
type untriedError string

func (e untriedError) Error() string { return string(e) }

// try makes a check.
func (c check) try(ctx context.Context, s *session) row {
	r := row{Fact: c.fact, Mark: c.mark, Expected: c.want}
	if ctx.Err() != nil {
		r.Found, r.Result = "interrupted", notTried
		return r
	}
	found, err := c.run(ctx, s)
	_, untried := errors.AsType[untriedError](err)
	switch {
	case err != nil && ctx.Err() != nil:
		r.Found, r.Result = "interrupted", notTried
	case untried:
		r.Found, r.Result = err.Error(), notTried
	case err != nil:
		r.Found, r.Result = "error: "+err.Error(), differs
	case holds(c.want, found):
		r.Found, r.Result = found, same
	default:
		r.Found, r.Result = found, differs
	}
	r.Found = printable(r.Found)
	return r
}

// holds reports whether the fact was found as expected. What was found may have a
// remark in parentheses behind it, and what is expected may end in "…".
func holds(want, found string) bool {
	if prefix, ok := strings.CutSuffix(want, "…"); ok {
		return strings.HasPrefix(found, prefix)
	}
	remark, ok := strings.CutPrefix(found, want)
	return ok && (remark == "" || strings.HasPrefix(remark, " (") && strings.HasSuffix(remark, ")"))
}

// printable makes text from the service safe for a line.
func printable(text string) string {
	if strings.Contains(text, "-----BEGIN") {
		return "text with a key in it"
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > 140 {
		text = string(runes[:140]) + "…"
	}
	return text
}

// conform makes all checks and calls emit for each row. Then it deletes the keys
// that it made, also when the context has ended or a check panics, and returns what
// cleanUp does.
func (s *session) conform(ctx context.Context, emit func(row)) (left map[string]string, err error) {
	defer func() { left, err = s.cleanUp(ctx) }()
	for _, c := range checks() {
		emit(c.try(ctx, s))
	}
	return nil, nil
}
