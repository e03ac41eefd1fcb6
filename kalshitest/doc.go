// Package kalshitest is a stand-in for the API Keys endpoints of the Kalshi
// exchange, for tests and examples of programs that use them. It is to a trading
// bot what [net/http/httptest] is to a web client: a real server on a loopback port
// that needs no account and no network.
//
//	exchange := kalshitest.NewServer()
//	defer exchange.Close()
//	// Point the bot at exchange.URL, exchange.KeyID and exchange.PrivateKey.
//
// The server checks signatures, timestamps, scopes and parameters as the exchange
// does, and responds with the same statuses and bodies. A test can also
//
//   - read what arrived ([Server.Requests]), why a request was not authentic
//     ([Request.Diagnosis]) and which keys exist ([Server.Keys]);
//   - add and delete keys ([Server.AddKey], [Server.DeleteKey]);
//   - make requests fail, slow down or lose their response ([Server.Inject]), and
//     check that each fault has happened ([Server.PendingFaults]);
//   - set the server's clock ahead or back ([Server.SetClockOffset]);
//   - serve other paths of the exchange with its own handlers ([Server.Handle],
//     [Response], [Server.RequireAttestation]);
//   - start a bot in another language ([Server.Env]).
//
// The command kalshitest, in cmd/kalshitest, is the same server as a program.
//
// Server verifies signatures with its own code and depends on the standard library
// alone, so it can test any client. Nothing that it holds outlives the process.
//
// # Why a signature is wrong
//
// The response to a wrong signature is the exchange's, which gives no reason. The
// server has the public key, so it tries what authors of clients often do wrong,
// one mistake and two together, and names what gives that signature: the query was
// signed, the path lacks /trade-api/v2, the salt has another length, another key
// signed. [Request.Diagnosis] and the response's header Kalshitest-Diagnosis have
// it, and clock and key ID are diagnosed, too. What it says is certain, as each
// cause is checked with the public key; where it knows nothing, it says nothing. It
// takes at most 20 ms, and nothing for a valid signature.
//
// # How faithful it is
//
// Documented, in the exchange's public documentation of October 2026: the
// endpoints, the signatures, the scopes, the successful responses, the ranges of
// parameters, [TooManyRequestsBody] and the text for a key that is restricted to a
// sub-account.
//
// Observed, by others on the wire: the bodies of most errors, and the tolerance of
// the exchange's clock, here 10 seconds in either direction, inclusive. Of the
// message of an invalid parameter, the words up to the parameter's name are
// observed; the rule after it is written here. [AttestationLapsedBody] is observed
// as the response to an order when the location attestation has lapsed, and so is
// the code of [RetiredPathBody], which the exchange sends before it looks at the
// signature.
//
// Decided here, since nobody has said, and stricter where there was a choice. A
// program should not rely on it:
//
//   - The order of the checks: path, credentials, signature header, timestamp, key
//     ID, signature, restrictions of the key, scopes, parameters.
//   - A missing or malformed timestamp counts as expired.
//   - A key may delete itself. To delete requires the scope write, and children such
//     as read::portfolio_balance do not allow the listing; both are inferred.
//   - An empty list of scopes, a missing or empty name and an RSA key under 2048
//     bits are rejected with 400.
//   - A listing by fcm_subtrader_id is forbidden to an account that is not an FCM
//     member, as making such a key is.
//   - The bodies of the 403s for usage level, FCM membership and FCM-bound keys, and
//     the text of warnings.
//   - The number of keys has no limit. A new key works at once and a deleted key
//     stops at once. A path with doubled slashes or dot elements is not found. The
//     response to a body over 1 MiB is 413.
//   - Which orders need a location attestation, and that one that was never given
//     has not lapsed.
//
// Faults, diagnoses, clock offsets, the request hook, the paths below /kalshitest/
// and the variables of [Server.Env] belong to the stand-in alone. It has no rate
// limits, no 409, no 410 and no 5xx unless a [Fault] sends them. The command adds one
// thing to the exchange's behavior: while the location attestation has lapsed, POSTs
// to the paths that it was given responses for fail.
package kalshitest
