package main

// The paths below /kalshitest/, by which test suites control the stand-in.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// maxControlBody is the largest body of a request, in bytes.
const maxControlBody = 1 << 20

// control changes a server by HTTP. It keeps what a reset goes back to.
type control struct {
	server      *kalshitest.Server
	first       kalshitest.Key // without its private half
	clockOffset time.Duration
	responses   []responseJSON
}

// An action does what a method on a path asks for and returns what to respond with.
type action func(body string, r *http.Request) (any, error)

// errNoKey is the error for a key that does not exist.
var errNoKey = errors.New("there is no key with this ID")

// handler returns the control as a handler.
func (c *control) handler() http.Handler {
	routes := map[string]map[string]action{
		"requests":          {"GET": c.getRequests, "DELETE": c.deleteRequests},
		"keys":              {"GET": c.getKeys, "POST": c.postKey},
		"keys/{id}":         {"DELETE": c.deleteKey},
		"faults":            {"GET": c.getFaults, "POST": c.postFault, "DELETE": c.deleteFaults},
		"clock":             {"PUT": c.putClock},
		"responses":         {"POST": c.postResponses, "DELETE": c.deleteResponses},
		"region-expiration": {"PUT": c.putRegionExpiration},
		"reset":             {"POST": c.postReset},
	}
	mux := http.NewServeMux()
	for path, methods := range routes {
		mux.Handle("/kalshitest/"+path, serveMethods(methods))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		paths := slices.Sorted(maps.Keys(routes))
		respondError(w, http.StatusNotFound, "there is no such path: those below /kalshitest/ are "+strings.Join(paths, ", "))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reason := foreign(r); reason != "" {
			respondError(w, http.StatusForbidden, reason)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// foreign returns why a request may come from a web page. A page may reach a
// loopback address, under a name of its own, too; its browser then sends one of
// these headers.
func foreign(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	switch {
	case len(r.Header["Origin"]) > 0:
		return "requests with an Origin header are rejected, since web pages send it"
	case !strings.EqualFold(host, "localhost") && !net.ParseIP(strings.Trim(host, "[]")).IsLoopback():
		return "requests for another host than localhost or a loopback address are rejected"
	}
	return ""
}

// serveMethods returns the handler of a path.
func serveMethods(methods map[string]action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		act, ok := methods[r.Method]
		if !ok {
			allowed := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
			w.Header().Set("Allow", allowed)
			respondError(w, http.StatusMethodNotAllowed, "the methods of this path are "+allowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
		var result any
		if err == nil {
			result, err = act(string(body), r)
		}
		switch {
		case errors.Is(err, errNoKey):
			respondError(w, http.StatusNotFound, err.Error())
		case err != nil:
			respondError(w, http.StatusBadRequest, err.Error())
		default:
			respondJSON(w, http.StatusOK, result)
		}
	})
}

func respondError(w http.ResponseWriter, status int, text string) {
	respondJSON(w, status, map[string]string{"error": text})
}

func respondJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // the client may be gone
}

func (c *control) getFaults(string, *http.Request) (any, error) { return faultsJSON(c.server), nil }

func (c *control) postFault(body string, _ *http.Request) (any, error) {
	if err := inject(c.server, body); err != nil {
		return nil, err
	}
	return faultsJSON(c.server), nil
}

// deleteFaults responds with the faults that waited.
func (c *control) deleteFaults(string, *http.Request) (any, error) {
	waited := faultsJSON(c.server)
	c.server.ClearFaults()
	return waited, nil
}

func (c *control) putClock(body string, _ *http.Request) (any, error) {
	var clock struct {
		Offset string `json:"offset"`
	}
	if err := decode(body, &clock, `{"offset":"30s"}`); err != nil {
		return nil, err
	}
	offset, err := time.ParseDuration(clock.Offset)
	if err != nil {
		return nil, fmt.Errorf("the offset %q is no duration: write one such as \"30s\" or \"-1m30s\"", clock.Offset)
	}
	c.server.SetClockOffset(offset)
	return clock, nil
}

func (c *control) putRegionExpiration(body string, _ *http.Request) (any, error) {
	var expiration struct {
		Time *time.Time `json:"time"` // null: never attested
	}
	if err := decode(body, &expiration, `{"time":"2026-11-25T12:00:00Z"}`); err != nil {
		return nil, err
	}
	if expiration.Time == nil {
		c.server.SetRegionExpiration(time.Time{})
	} else {
		c.server.SetRegionExpiration(*expiration.Time)
	}
	return expiration, nil
}

// postResponses adds all of a list, or up to the first that is wrong.
func (c *control) postResponses(body string, _ *http.Request) (any, error) {
	all, err := parseResponses(body)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if err := respond(c.server, r); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (c *control) deleteResponses(string, *http.Request) (any, error) {
	c.server.ClearHandlers()
	return struct{}{}, nil
}
