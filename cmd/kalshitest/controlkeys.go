package main

// The control's paths for requests and keys, and its reset.

import (
	"net/http"
	"time"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// requestJSON has the fields of [kalshitest.Request]. Header lacks the signature,
// and Body is text.
type requestJSON struct {
	Method, Path, RawQuery string
	Header                 http.Header
	Body, KeyID            string
	Processed              bool
	Status                 int
	Diagnosis, SignedBy    string
}

func (c *control) getRequests(string, *http.Request) (any, error) {
	all := []requestJSON{} // not null
	for _, r := range c.server.Requests() {
		r.Header.Del("Kalshi-Access-Signature")
		all = append(all, requestJSON{
			r.Method, r.Path, r.RawQuery, r.Header, string(r.Body), r.KeyID, r.Processed, r.Status, r.Diagnosis, r.SignedBy,
		})
	}
	return all, nil
}

func (c *control) deleteRequests(string, *http.Request) (any, error) {
	c.server.ClearRequests()
	return struct{}{}, nil
}

// keyJSON is [kalshitest.Key]. The private half is in the response that made it
// alone.
type keyJSON struct {
	ID, Name, Type            string
	Scopes                    []string
	Subaccount                *int
	FCMSubtraderID, PublicKey string
	PrivateKey                string `json:",omitempty"`
}

func (c *control) getKeys(string, *http.Request) (any, error) {
	all := []keyJSON{} // not null
	for _, k := range c.server.Keys() {
		all = append(all, keyJSON(k))
	}
	return all, nil
}

func (c *control) postKey(body string, _ *http.Request) (any, error) {
	var k keyJSON
	if err := decode(body, &k, `{"Name":"reader","Scopes":["read"]}`); err != nil {
		return nil, err
	}
	err := try(func() { k = keyJSON(c.server.AddKey(kalshitest.Key(k))) })
	return k, err
}

func (c *control) deleteKey(_ string, r *http.Request) (any, error) {
	if !c.server.DeleteKey(r.PathValue("id")) {
		return nil, errNoKey
	}
	return struct{}{}, nil
}

// postReset brings back what was there at the start, but for faults, and responds
// with the faults that waited. The first key has the same ID and the same private
// half as before.
func (c *control) postReset(string, *http.Request) (any, error) {
	waited := faultsJSON(c.server)
	c.server.ClearFaults()
	c.server.ClearHandlers()
	for _, r := range c.responses {
		if err := respond(c.server, r); err != nil {
			return nil, err
		}
	}
	c.server.SetClockOffset(c.clockOffset)
	c.server.SetRegionExpiration(time.Time{})
	err := try(c.resetKeys)
	c.server.ClearRequests()
	return map[string]any{"Faults": waited}, err
}

// resetKeys leaves the first key and no other.
func (c *control) resetKeys() {
	for _, k := range c.server.Keys() {
		c.server.DeleteKey(k.ID)
	}
	c.server.AddKey(c.first)
}
