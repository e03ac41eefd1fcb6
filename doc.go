// Package kalshi makes, lists, deletes and rotates the API keys of an account
// at Kalshi, and signs requests with them. It is unofficial: not affiliated
// with or endorsed by Kalshi.
//
// A [Client] has one method for each of the four calls of the service, and a
// few that combine them; a [Signer] signs, for the client and for anything
// else that speaks to the API: another HTTP client, a generated one, a
// WebSocket dial, a FIX logon.
//
//	client, err := kalshi.NewClientFromEnv() // KALSHI_API_KEY_ID, KALSHI_PRIVATE_KEY_PATH
//	if err != nil {
//		log.Fatal(err)
//	}
//	keys, err := client.GetAPIKeys(ctx)
//
// All types are safe for concurrent use where they say so; a Client and a
// Signer are, and one of each is meant to be shared.
//
// # Errors
//
// Bad input is a [*ValidationError], returned before anything is sent. An
// answer that is not 2xx is an [*APIError], within a type of its own for the
// statuses that matter: [*BadRequestError], [*UnauthorizedError],
// [*ForbiddenError], [*NotFoundError], [*ConflictError], [*RateLimitError],
// [*ServerError]. A 2xx that makes no sense is an [*InvalidResponseError]. A
// call that got no answer keeps the error of the standard library, such as
// [*url.Error] and, where the context ended it, [context.Canceled] or
// [context.DeadlineExceeded]. All are found with [errors.As] and [errors.Is].
//
// When a new key was asked for and no answer tells whether it was made, the
// error is an [*OutcomeUnknownError]. It may wrap any of those above, so ask
// for it before them; and for a [*RotationError], which is what a rotation
// fails with and may wrap any error, before that.
//
// # Trying again
//
// A call is tried again, at most twice unless [WithMaxRetries] says otherwise,
// with a random and growing wait, when that can help: after a 429, a passing
// 5xx, a lost connection, an answer that makes no sense. A request for a new key is only tried again when
// provably nothing of it reached the service or it was answered 429, so no
// failure can make two keys. Beside that count, a call is repeated once when
// the service found its timestamp out of bounds, by the service's clock, and
// when its key was rotated while it was under way.
//
// # Secrets
//
// A generated private key is a [PrivateKeyPEM]: it prints and logs as
// [REDACTED], encoding it fails, and [PrivateKeyPEM.Reveal] is the one way to
// its text. Signers and clients print without their keys. What
// [ParsePrivateKey] returns belongs to the standard library and does not hide
// itself. The package logs nothing, has no debug mode, requires https but for
// loopback, and never follows redirects, since Go would send the signature
// headers on to any host. (Under GOOS=js the browser decides about redirects.)
//
// # What is known
//
// The calls follow Kalshi's documented schema 3.34.0 of October 2026. Where a
// comment says documented, Kalshi documents it; observed is what others saw
// on the wire. Package kalshitest is a stand-in for the exchange, to try and
// to test programs without an account.
package kalshi
