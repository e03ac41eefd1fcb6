package kalshitest

// The search for the mistakes that explain a signature: one alone, then two.

import (
	"iter"
	"slices"
	"strconv"
	"time"
)

// A search tries messages and keys until a signature fits, or its work or its time
// is used up.
type search struct {
	from      *rejected
	signature []byte
	claimed   []scheme // of the claimed key
	work      int
	deadline  time.Time
}

// A candidate is a message and the mistakes in it.
type candidate struct {
	message  message
	mistakes []int // indexes
}

func newSearch(from *rejected, signature []byte) *search {
	s := &search{from: from, signature: signature, work: maxDiagnosisWork, deadline: from.clock().Add(maxDiagnosis)}
	if from.claimed != nil {
		s.claimed = s.schemes(from.claimed)
	}
	return s
}

// schemes returns those of a key, and counts the work.
func (s *search) schemes(key *storedKey) []scheme {
	s.work -= 50
	return schemes(key.public, s.signature)
}

// run returns what is wrong with the signature, and the ID of the key that made it
// if that is another than the claimed one. It returns nil if nothing is found.
func (s *search) run() (says []string, signedBy string) {
	right := candidate{message: message{
		time: s.from.request.Header.Get(headerTimestamp), method: s.from.request.Method, path: s.from.request.Path, order: "tmp",
	}}
	if says := s.try(s.claimed, right); says != nil {
		return says, ""
	}
	singles := slices.Collect(s.changed([]candidate{right}))
	for _, c := range singles {
		if says := s.try(s.claimed, c); says != nil {
			return says, ""
		}
	}
	if says, signedBy := s.otherKeys([]candidate{right}); says != nil || s.from.claimed == nil {
		return says, signedBy
	}
	if says := s.otherTimes(right.message); says != nil {
		return says, ""
	}
	if says, signedBy := s.otherKeys(singles); says != nil {
		return says, signedBy
	}
	if len(s.claimed) == 0 {
		return nil, ""
	}
	for c := range s.changed(singles) {
		if says := s.try(s.claimed, c); says != nil {
			return says, ""
		}
	}
	return nil, ""
}

// try returns what is wrong with the candidate if the signature fits it. It returns
// nil if it does not, or if there is no work or time left.
func (s *search) try(schemes []scheme, c candidate) (says []string) {
	if len(schemes) == 0 || s.work <= 0 {
		return nil
	}
	if s.work < maxDiagnosisWork-freeWork && s.from.clock().After(s.deadline) {
		s.work = 0
		return nil
	}
	text := c.message.bytes()
	for _, scheme := range schemes {
		s.work -= scheme.cost
		if scheme.fits(text) {
			says = append(make([]string, 0, 4), scheme.says...) // not nil
			for _, i := range c.mistakes {
				says = append(says, mistakes[i].says)
			}
			return says
		}
	}
	return nil
}

// changed returns the candidates with one more mistake in them, in the order of the
// later mistake. It leaves out those that do not change the text.
func (s *search) changed(base []candidate) iter.Seq[candidate] {
	return func(yield func(candidate) bool) {
		tried := map[string]bool{}
		for _, c := range base {
			tried[string(c.message.bytes())] = true
		}
		for i, m := range mistakes {
			for _, c := range base {
				if slices.ContainsFunc(c.mistakes, func(j int) bool { return j >= i || mistakes[j].kind == m.kind }) {
					continue
				}
				next := c.message
				m.change(&next, s.from)
				text := string(next.bytes())
				if next == c.message || tried[text] {
					continue
				}
				tried[text] = true
				if !yield(candidate{next, append(slices.Clone(c.mistakes), i)}) {
					return
				}
			}
		}
	}
}

// otherKeys tries the candidates with the other keys.
func (s *search) otherKeys(candidates []candidate) (says []string, signedBy string) {
	least := s.work - maxOtherKeyWork
	all := make([][]scheme, len(s.from.others))
	for i, key := range s.from.others {
		all[i] = s.schemes(&key)
	}
	for _, c := range candidates {
		if s.work < least {
			break
		}
		for i, schemes := range all {
			if says := s.try(schemes, c); says != nil {
				id := s.from.others[i].ID
				return append(says, "the key that signed is "+strconv.QuoteToASCII(id)+", not the one of the KALSHI-ACCESS-KEY header"), id
			}
		}
	}
	return nil, ""
}

// otherTimes tries times near that of the header, the nearest first.
func (s *search) otherTimes(m message) (says []string) {
	ms, err := strconv.ParseInt(m.time, 10, 64)
	if err != nil {
		return nil
	}
	for least, off := max(s.work-maxOtherTimeWork, 0), int64(1); s.work > least && len(s.claimed) > 0; off++ {
		for _, off := range []int64{-off, off} {
			m.time = strconv.FormatInt(ms+off, 10)
			if says := s.try(s.claimed, candidate{message: m}); says != nil {
				return append(says, "the signed time is not the header's, but "+strconv.FormatInt(off, 10)+" ms from it: use one value for both")
			}
		}
	}
	return nil
}
