package main

// What can be seen on this machine: the variables, the key, its file, the URL.

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// documented has the exchange's environments in pairs with the same kind of host.
var documented = []environment{
	{"production", kalshi.ProductionBaseURL}, {"demo", kalshi.DemoBaseURL},
	{"production", kalshi.ExternalProductionBaseURL}, {"demo", kalshi.ExternalDemoBaseURL},
}

type environment struct{ name, baseURL string }

// A doctor examines one set-up. The checks fill in what the later ones need.
type doctor struct {
	environments []environment
	httpClient   *http.Client
	signer       *kalshi.Signer // nil if there is no key
	keyErr       error          // why there is none
	baseURL      string         // "" if it is wrong
	here         int            // the base URL's index in environments, or -1
	service      *service       // nil if it is not reached
}

func newDoctor(environments []environment, transport http.RoundTripper) *doctor {
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	hc := &http.Client{Transport: transport, Timeout: 10 * time.Second, CheckRedirect: noRedirect}
	// The option wins over KALSHI_BASE_URL, so an error is about the key.
	client, err := kalshi.NewClientFromEnv(kalshi.WithBaseURL(kalshi.DemoBaseURL))
	d := &doctor{environments: environments, httpClient: hc, keyErr: err, here: -1}
	if err == nil {
		d.signer = client.Signer()
	}
	return d
}

// examine runs all checks.
func (d *doctor) examine(ctx context.Context) (lines []line) {
	for _, check := range []struct {
		name string
		run  func(context.Context) []line
	}{
		{"variables", d.checkVariables},
		{"key", d.checkKey},
		{"file", d.checkFile},
		{"key ID", d.checkKeyID},
		{"base URL", d.checkURL},
		{"service", d.checkService},
		{"clock", d.checkClock},
		{"account", d.checkAccount},
	} {
		for _, l := range check.run(ctx) {
			l.Check = check.name
			lines = append(lines, l)
		}
	}
	return lines
}

// value returns a variable as the SDK reads it.
func value(name string) string {
	return strings.TrimSpace(strings.Trim(strings.TrimSpace(os.Getenv(name)), `"'`))
}

// checkVariables looks for names that others use, and for quotes.
func (d *doctor) checkVariables(context.Context) (lines []line) {
	for _, names := range [][2]string{
		{"KALSHI_API_KEY", "KALSHI_API_KEY_ID"}, {"KALSHI_KEY_ID", "KALSHI_API_KEY_ID"}, {"KALSHI_ACCESS_KEY", "KALSHI_API_KEY_ID"},
		{"KALSHI_PRIVATE_KEY_B64", "KALSHI_PRIVATE_KEY"}, {"KALSHI_PRIVATE_KEY_BASE64", "KALSHI_PRIVATE_KEY"},
		{"KALSHI_PRIVATE_KEY_PEM", "KALSHI_PRIVATE_KEY"}, {"KALSHI_PRIVATE_KEY_FILE", "KALSHI_PRIVATE_KEY_PATH"},
		{"KALSHI_ENV", "KALSHI_BASE_URL"}, {"KALSHI_DEMO", "KALSHI_BASE_URL"},
	} {
		switch {
		case value(names[0]) == "":
		case value(names[1]) == "" && d.signer == nil && names[1] != "KALSHI_BASE_URL":
			lines = append(lines, wrong("name it "+names[1], "%s is set, and the SDK ignores it", names[0])...)
		default:
			lines = append(lines, look("unset it: the SDK reads "+names[1], "%s is set, and the SDK ignores it", names[0])...)
		}
	}
	for _, name := range []string{"KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY_PATH", "KALSHI_PRIVATE_KEY", "KALSHI_BASE_URL"} {
		if text := strings.TrimSpace(os.Getenv(name)); text != strings.Trim(text, `"'`) {
			lines = append(lines, look("remove them: Docker's env files keep quotes", "%s is in quotes; the SDK drops them, other programs do not", name)...)
		}
	}
	return lines
}

// checkKey says which key signs, and how it is written.
func (d *doctor) checkKey(context.Context) []line {
	if d.keyErr != nil {
		return failed(d.keyErr)
	}
	text, where := value("KALSHI_PRIVATE_KEY"), "KALSHI_PRIVATE_KEY"
	if path := value("KALSHI_PRIVATE_KEY_PATH"); path != "" {
		data, _ := os.ReadFile(path) // the SDK has just read it
		text, where = string(data), "the file in KALSHI_PRIVATE_KEY_PATH"
	}
	form, damage := "a PEM", ""
	switch {
	case strings.HasPrefix(text, "{"):
		form = "JSON"
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		damage = "16 bits a character, as PowerShell writes files"
	case !strings.Contains(text, "-----BEGIN"):
		form = "the base64 of a PEM"
	case strings.Contains(text, `\n`):
		damage = `\n as two characters`
	case strings.Contains(text, "\r"):
		damage = "the line ends of Windows"
	case !strings.Contains(strings.TrimSpace(text), "\n"):
		damage = "all of it on one line"
	}
	lines := ok("%s holds %s with an %s key, %s", where, form, d.signer.KeyType(), d.signer.Fingerprint())
	if damage != "" {
		lines = append(lines, look("put the PEM as Kalshi gave it in a file", "it has %s; the SDK reads it, other programs do not", damage)...)
	}
	return lines
}

// checkFile says who may read the key's file.
func (d *doctor) checkFile(context.Context) []line {
	path := value("KALSHI_PRIVATE_KEY_PATH")
	if path == "" || d.signer == nil {
		return nil
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path, _ = filepath.Abs(target)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return failed(err)
	case runtime.GOOS == "windows": // its modes say nothing
		return ok("%s", path)
	case info.Mode()&0o077 != 0:
		return look("chmod 600 "+path, "%s has mode %#o: others than its owner may read or write it", path, info.Mode().Perm())
	}
	return ok("%s has mode %#o: its owner alone may read it", path, info.Mode().Perm())
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// checkKeyID says which ID is used. It shows only what looks like one.
func (d *doctor) checkKeyID(context.Context) []line {
	if d.signer == nil {
		return nil
	}
	id, variable := d.signer.KeyID(), value("KALSHI_API_KEY_ID")
	switch {
	case !uuid.MatchString(id):
		return look("copy it again, all of it", "it has %d characters and is no UUID, as Kalshi's IDs are", len(id))
	case variable != "" && variable != id:
		return look("unset KALSHI_API_KEY_ID", "%s, from the key file; KALSHI_API_KEY_ID is another one, and ignored", id)
	}
	return ok("%s", id)
}

// checkURL says which environment the base URL is of.
func (d *doctor) checkURL(context.Context) []line {
	base := kalshi.WithBaseURL(d.environments[0].baseURL)
	if raw := value("KALSHI_BASE_URL"); raw != "" {
		base = kalshi.WithBaseURL(raw)
	}
	anyone, _ := kalshi.NewSigner("any", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))) // there may be no key
	client, err := kalshi.NewClient(anyone, base)
	if err != nil {
		lines := failed(err)
		lines[0].Text = strings.TrimPrefix(lines[0].Text, "base URL ")
		return lines
	}
	u, _ := url.Parse(client.BaseURL())
	for i, e := range d.environments {
		known, _ := url.Parse(e.baseURL)
		switch {
		case !strings.EqualFold(known.Host, u.Host):
		case known.Path != u.Path:
			return wrong("set it to "+e.baseURL, "the host is %s's, but the path is not %s", e.name, known.Path)
		default:
			d.baseURL, d.here = client.BaseURL(), i
			return ok("%s, %s", e.name, d.baseURL)
		}
	}
	d.baseURL = client.BaseURL()
	if addr, err := netip.ParseAddr(u.Hostname()); u.Hostname() == "localhost" || err == nil && addr.IsLoopback() {
		return ok("%s, a stand-in on this machine", d.baseURL)
	}
	return look("make sure that it is yours", "%s is none of the hosts that Kalshi documents", u.Host)
}

// failed is the line of an error. One of the SDK says the cause, then what to do.
func failed(err error) []line {
	text, do := strings.TrimPrefix(err.Error(), "kalshi: "), "try again"
	if invalid, isInvalid := errors.AsType[*kalshi.ValidationError](err); isInvalid {
		var cause string
		cause, do, _ = strings.Cut(invalid.Reason, ": ")
		text = invalid.Field + " " + cause
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		do = "give the whole path of the key's file"
	case errors.Is(err, fs.ErrPermission):
		do = "run as the owner of the file"
	}
	return wrong(do, "%s", text)
}
