package main

// What the exchange says: to a request without a signature, and to a signed one.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// A service is the exchange as the unsigned request has found it.
type service struct {
	offset time.Duration // its clock minus the local one
	dated  bool          // the offset is known
}

// checkService makes a request without a signature. The API refuses it.
func (d *doctor) checkService(ctx context.Context) []line {
	if d.baseURL == "" {
		return nil
	}
	start := time.Now()
	var sent time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent = time.Now() }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.baseURL+"/api_keys", nil)
	if err != nil {
		return failed(err)
	}
	resp, err := d.httpClient.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	latency := time.Since(sent)
	api, refused := errors.AsType[*kalshi.APIError](kalshi.CheckResponse(resp))
	switch {
	case !refused:
		return wrong("check KALSHI_BASE_URL", "this is not the API: %d for a request without a key", resp.StatusCode)
	case api.StatusCode == http.StatusTooManyRequests, api.StatusCode >= 500:
		return wrong("try again later", "it is busy or down: %d", api.StatusCode)
	case api.StatusCode != http.StatusUnauthorized || api.Code == "":
		return wrong("check KALSHI_BASE_URL, which ends in /trade-api/v2, and proxies", "this is not the API: %d %q", api.StatusCode, api.Message)
	}
	d.service = new(service)
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil { // in whole seconds
		age, _ := strconv.Atoi(resp.Header.Get("Age"))
		at := date.Add(time.Duration(age)*time.Second + time.Second/2)
		d.service.offset, d.service.dated = at.Sub(sent.Add(latency/2)).Round(time.Second), true
	}
	text := "no TLS"
	if resp.TLS != nil {
		leaf := resp.TLS.PeerCertificates[0]
		text = fmt.Sprintf("%s, certificate by %s until %s", tls.VersionName(resp.TLS.Version), leaf.Issuer, leaf.NotAfter.Format(time.DateOnly))
	}
	if proxy, err := http.ProxyFromEnvironment(req); err == nil && proxy != nil {
		text += ", proxy " + proxy.Host
	}
	return ok("reached: %s, connected in %v, response in %v", text, sent.Sub(start).Round(time.Millisecond/10), latency.Round(time.Millisecond/10))
}

// unreachable is the line of a request without a response.
func unreachable(err error) []line {
	do := "check KALSHI_BASE_URL, the network, firewalls and proxies"
	if _, isDNS := errors.AsType[*net.DNSError](err); isDNS {
		do = "check the host in KALSHI_BASE_URL, and DNS"
	}
	if _, isTLS := errors.AsType[*tls.CertificateVerificationError](err); isTLS {
		do = "check the date of this machine; trust the certificate of a proxy that reads along, or go past it"
	}
	return wrong(do, "not reached: %v", errors.Unwrap(err)) // what is in the *url.Error
}

// checkClock compares the clocks. The service was seen to accept 10 seconds.
func (d *doctor) checkClock(context.Context) []line {
	const accepted, corrected = 5 * time.Second, 24 * time.Hour
	const do = "have the system set it: timedatectl set-ntp true, or its like"
	if d.service == nil {
		return nil
	}
	offset, side := d.service.offset.Abs(), "behind the service's"
	if d.service.offset < 0 {
		side = "ahead of the service's"
	}
	switch {
	case !d.service.dated:
		return look(do, "the service did not tell the time")
	case offset > corrected:
		return wrong(do, "%s by %v, more than the SDK corrects", side, offset)
	case offset > accepted:
		return look(do, "%s by %v; the SDK corrects it, other programs do not", side, offset)
	}
	return ok("within %v of the service's", offset+time.Second)
}

// checkAccount makes a signed call, and says what the exchange knows of the key.
func (d *doctor) checkAccount(ctx context.Context) []line {
	if d.service == nil || d.signer == nil {
		return nil
	}
	keys, err := d.list(ctx, d.baseURL)
	if err != nil {
		return d.refused(ctx, err)
	}
	lines := look("look for it on Kalshi's page", "the key signs, but is not listed")
	for _, key := range keys.APIKeys {
		if key.ID != d.signer.KeyID() {
			continue
		}
		lines = ok("the key is known, and signs: %q, scopes %v", key.Name, key.Scopes)
		if len(key.Missing(kalshi.ScopeWriteTrade)) > 0 {
			lines[0].Text += ", may not trade"
		}
		if key.Subaccount != nil {
			lines[0].Text += fmt.Sprintf(", sub-account %d alone", *key.Subaccount)
		}
	}
	end, attested := keys.RegionExpiration()
	text := "the location attestation ends at " + end.UTC().Format(time.RFC3339)
	switch left := time.Until(end); {
	case !attested:
		text = "the location was never attested"
	case left < 0:
		text = strings.Replace(text, "ends", "has ended", 1)
	case left > 3*24*time.Hour:
		return append(lines, ok("%s", text)...)
	}
	const do = "verify your location in Kalshi's app, or orders in Sports, Elections and Entertainment get a 403"
	return append(lines, look(do, "%s", text)...)
}

func (d *doctor) list(ctx context.Context, baseURL string) (*kalshi.GetAPIKeysResponse, error) {
	client, err := kalshi.NewClient(d.signer, kalshi.WithBaseURL(baseURL), kalshi.WithHTTPClient(d.httpClient))
	if err != nil {
		return nil, err
	}
	return client.GetAPIKeys(ctx)
}

const (
	unknownKey     = "NOT_FOUND"
	wrongSignature = "INCORRECT_API_KEY_SIGNATURE"
	subaccount     = "sub-account"
)

// refused is the line of a signed call that failed. A key that may not list is
// not broken.
func (d *doctor) refused(ctx context.Context, err error) []line {
	api, isAPI := errors.AsType[*kalshi.APIError](err)
	if !isAPI {
		return failed(err)
	}
	const known = "the key is known, and signs"
	switch unauthorized := api.StatusCode == http.StatusUnauthorized; {
	case api.Details == unknownKey:
		return d.unknown(ctx)
	case api.Details == wrongSignature:
		return wrong("compare the fingerprint with the machine where it works, or make a new key", "the private key is not the one of this ID")
	case forbids(api) && strings.Contains(api.Message, subaccount):
		return ok(known + ", for one sub-account; such a key may trade, but not list keys, so its scopes cannot be shown")
	case forbids(api):
		return look("see its scopes on Kalshi's page", known+", but may not list keys: %s", api.Message)
	case unauthorized && (strings.HasPrefix(api.Code, "signature_is_missing") || strings.HasPrefix(api.Code, "token_auth")):
		return wrong("look for a proxy that drops headers", "the signature did not arrive")
	case unauthorized && api.Code == "header_timestamp_expired":
		return wrong("set the clock, and look for what delays requests", "the timestamp was refused, though the SDK corrected it")
	case unauthorized && api.Code != "":
		return look("try a call that the bot makes", "401, but not for the ID, the signature or the clock; a sub-account's key may get it: %s", api.Message)
	}
	return wrong("try again later", "the signed call got %d %s", api.StatusCode, api.Message)
}

// forbids reports whether it is the service that forbids the call, and no gateway.
// It does so after it has looked at the key.
func forbids(api *kalshi.APIError) bool {
	return api.StatusCode == http.StatusForbidden && (api.Code != "" || strings.Contains(api.Message, subaccount))
}

// unknown is the line of an ID that is not known here. It asks the other
// environment if this one is documented: an ID and a signature go nowhere else.
func (d *doctor) unknown(ctx context.Context) []line {
	const lost = "compare it with Kalshi's page: it was deleted, or has a wrong character"
	if d.here < 0 {
		return wrong(lost, "the ID is not known here")
	}
	here, other := d.environments[d.here], d.environments[d.here^1]
	_, err := d.list(ctx, other.baseURL)
	api, refused := errors.AsType[*kalshi.APIError](err)
	switch {
	case err == nil, refused && (forbids(api) || api.Details == wrongSignature):
		return wrong("set KALSHI_BASE_URL="+other.baseURL+", or use a key of "+here.name, "the ID is not known in %s, but in %s", here.name, other.name)
	case refused && api.Details == unknownKey:
		return wrong(lost, "the ID is known neither in %s nor in %s", here.name, other.name)
	}
	return wrong(lost, "the ID is not known in %s, and %s did not tell", here.name, other.name)
}
