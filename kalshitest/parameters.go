package kalshitest

// The parameters of the requests that make a key, and what is valid for them.

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// maxSubaccount is the highest number of a sub-account; the lowest is 0.
const maxSubaccount = 63

// scopes are the scopes that a request may ask for.
var scopes = []string{
	"read", "read::block_trade_accept", "read::portfolio_balance",
	"write", "write::trade", "write::transfer", "write::fcm_risk", "write::block_trade_accept",
}

// subtraderID is the documented form {user_id}_{suffix}.
var subtraderID = regexp.MustCompile(`^\S+_[A-Za-z0-9]{1,16}$`)

// parameterRules says what is valid for each parameter.
var parameterRules = map[string]string{
	"fcm_subtrader_id": "it must be {user_id}_{suffix} with a suffix of 1 to 16 ASCII letters and digits, and excludes subaccount",
	"key_type":         "it must be rsa or ed25519",
	"name":             "it must not be empty",
	"public_key":       "it must be one PEM block of type PUBLIC KEY with an Ed25519 key, or an RSA key of 2048 bits or more",
	"scopes":           "it must be one or more of " + strings.Join(scopes, ", ") + "; write requires read",
	"subaccount":       "it must be 0 to 63",
}

// invalidParameter returns the response to a bad parameter. The message up to the
// name is the exchange's, as observed; the rule after it is this package's.
func invalidParameter(name string) *response {
	return jsonResponse(http.StatusBadRequest, map[string]string{
		"msg": "Parameter validation failed for " + name + ": " + parameterRules[name],
	})
}

// grantable reports whether a request may ask for these scopes: at least one, all
// of them known, and "write" only together with "read".
func grantable(requested []string) bool {
	for _, scope := range requested {
		if !slices.Contains(scopes, scope) {
			return false
		}
	}
	return len(requested) > 0 && (!slices.Contains(requested, "write") || slices.Contains(requested, "read"))
}

// badRestriction returns the name of the parameter that is out of range or that
// excludes the other, or "".
func badRestriction(subaccount *int, subtrader string) string {
	switch {
	case subaccount != nil && (*subaccount < 0 || *subaccount > maxSubaccount):
		return "subaccount"
	case subtrader != "" && (subaccount != nil || !subtraderID.MatchString(subtrader)):
		return "fcm_subtrader_id"
	}
	return ""
}
