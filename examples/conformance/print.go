package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A report is the result of a run.
type report struct {
	BaseURL string            `json:"base_url"`
	Run     string            `json:"run"`
	Took    string            `json:"took"`
	Rows    []row             `json:"rows"`
	Left    map[string]string `json:"keys_left"` // names by ID
	Earlier map[string]string `json:"keys_of_earlier_runs"`
	Unknown string            `json:"unknown,omitempty"` // why it is not known which keys are left
}

// A table prints rows as they come.
type table struct {
	w          io.Writer
	fact, want int // widths
}

func newTable(w io.Writer, all []check) table {
	t := table{w: w}
	for _, c := range all {
		t.fact = max(t.fact, utf8.RuneCountInString(c.fact))
		t.want = max(t.want, utf8.RuneCountInString(c.want))
	}
	t.print(row{"FACT", "MARK", "EXPECTED", "FOUND", "RESULT"})
	return t
}

func (t table) print(r row) {
	fmt.Fprintf(t.w, "%-10s  %-10s  %-*s  %-*s  %s\n", r.Result, r.Mark, t.fact, r.Fact, t.want, r.Expected, r.Found)
}

// printSummary prints what follows the table.
func (r report) printSummary(w io.Writer) {
	count := map[result]int{}
	for _, row := range r.Rows {
		count[row.Result]++
	}
	fmt.Fprintf(w, "\n%d facts: %d same, %d differ, %d not tried. It took %s.\n", len(r.Rows), count[same], count[differs], count[notTried], r.Took)
	if len(r.Left) == 0 && r.Unknown == "" {
		fmt.Fprintln(w, "No key of this run is left.")
	}
	for _, id := range slices.Sorted(maps.Keys(r.Left)) {
		fmt.Fprintf(w, "This key could not be deleted: %q. Delete it:\n    KALSHI_BASE_URL=%s go run ./examples/delete -id %s\n", r.Left[id], r.BaseURL, shellQuote(id))
	}
	if r.Unknown != "" {
		fmt.Fprintf(w, "The keys could not be listed: %s\nKeys that are named \"kalshi-go conformance %s …\" may be left. The next run names them.\n", r.Unknown, r.Run)
	}
	if len(r.Earlier) > 0 {
		fmt.Fprintln(w, "Keys that an earlier run left, or that a run elsewhere still uses (-cleanup deletes them):")
	}
	for _, id := range slices.Sorted(maps.Keys(r.Earlier)) {
		fmt.Fprintf(w, "    %q %q\n", id, r.Earlier[id])
	}
}

// shellQuote quotes text from the service for a shell.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(printable(text), "'", `'\''`) + "'"
}

func (r report) printJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// status is the exit status of a run: 1 if a fact differs or a key is left.
func (r report) status() int {
	bad := slices.ContainsFunc(r.Rows, func(row row) bool { return row.Result == differs })
	if bad || len(r.Left) > 0 || r.Unknown != "" {
		return 1
	}
	return 0
}

func round(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }
