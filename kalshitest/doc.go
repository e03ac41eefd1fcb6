// Package kalshitest is an in-process stand-in for the API Keys endpoints of
// the Kalshi exchange, for tests and examples of programs that talk to it. It
// is to a trading bot what [net/http/httptest] is to a web client: a real
// server on a loopback port, which needs no account and no network.
//
//	exchange := kalshitest.NewServer()
//	defer exchange.Close()
//	// Point the bot at exchange.URL, exchange.KeyID and exchange.PrivateKey.
//
// The server checks signatures, timestamps, scopes and input as the exchange
// does and answers with the same statuses and bodies. Beyond that it
//
//   - records what arrives ([Server.Requests]) and what exists ([Server.Keys]);
//   - holds keys that a test puts there ([Server.AddKey]);
//   - misbehaves on demand: slow, broken and lost answers ([Server.Inject]);
//   - runs its clock ahead or behind ([Server.SetClockOffset]);
//   - serves further paths of the exchange, with handlers that the test brings
//     ([Server.Handle]).
//
// It verifies signatures with its own code and depends on the standard library
// alone, so that it can test any client. Nothing it holds outlives the process.
//
// # How true it is
//
// The endpoints, the signatures, the scopes and the success answers follow the
// exchange's public documentation of October 2026. The texts of most errors
// are not documented: they are what others have observed on the wire. So is
// the tolerance of its clock, here 10 seconds both ways, inclusive. What nobody
// has told was decided here, the stricter way where there was one, and a
// program should not lean on it:
//
//   - The order of the checks: path, credentials, signature header, timestamp,
//     key ID, signature, restrictions of the key, scopes, input.
//   - A missing or malformed timestamp counts as expired.
//   - A key may delete itself. The write scope that deleting requires, and that
//     children such as read::portfolio_balance do not open the listing, are
//     inferred.
//   - An empty list of scopes, a name that is missing or empty and an RSA key
//     under 2048 bits are refused with 400.
//   - A listing by fcm_subtrader_id is refused to an account that is no FCM
//     member, as a mint is.
//   - The bodies of the 403s for usage level, FCM membership and FCM-bound keys,
//     and the wording of warnings.
//   - There is no limit to the number of keys, a new key works at once and a
//     deleted one stops at once; a path with doubled slashes or dot elements is
//     not found; a body over 1 MiB is answered 413.
//
// There are no rate limits, no 409 and no 5xx unless a [Fault] says so.
package kalshitest
