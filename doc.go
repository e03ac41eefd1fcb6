// Package kalshi makes, lists, deletes and rotates the API keys of an account
// at Kalshi, and signs every other request that a trading bot sends. It is
// unofficial: not affiliated with or endorsed by Kalshi.
//
//	client, err := kalshi.NewClientFromEnv() // KALSHI_API_KEY_ID, KALSHI_PRIVATE_KEY_PATH
//	if err != nil {
//		log.Fatal(err)
//	}
//	keys, err := client.GetAPIKeys(ctx)
//
// A [Client] has a method for each of the four calls that manage API keys, and
// a few that combine them. [Client.HTTPClient] is an [*http.Client] for all
// other endpoints: orders, positions, a generated client, a WebSocket dial. A
// [Signer] holds the key that both sign with. Clients and Signers are safe for
// concurrent use and meant to be shared.
//
// # Errors
//
// Bad input is a [*ValidationError], returned before anything is sent. A
// response that is not 2xx is an [*APIError], embedded in a type of its own for
// the statuses that matter: [*BadRequestError], [*UnauthorizedError],
// [*ForbiddenError], [*NotFoundError], [*ConflictError], [*RateLimitError],
// [*ServerError]. [CheckResponse] makes the same errors of any endpoint's
// response. A 2xx that cannot be understood is an [*InvalidResponseError]. A
// call without a response returns the standard library's error, such as
// [*url.Error] and, when the context ended it, [context.Canceled] or
// [context.DeadlineExceeded]. All are found with [errors.As] and [errors.Is].
//
// If a create request may have succeeded but no usable response arrived, the
// error is an [*OutcomeUnknownError]. Check for it before the types above,
// since it wraps one of them; and check for a [*RotationError], which
// [Client.RotateAPIKey] returns, before all.
//
// # Retries
//
// Calls are retried up to twice (see [WithMaxRetries]), with jittered
// exponential backoff, after a 429, a transient 5xx, a lost connection or an
// unreadable response. A request that creates a key is retried only after a
// 429 (and the 401s below) or when none of it was sent, so no failure can make
// two keys.
//
// Three kinds of 401 do not count as retries, and are retried for requests
// through HTTPClient too, since the service has not processed them: the
// timestamp was out of bounds (the request is signed again by the service's
// clock, if that differs by at most 24 hours), the key was rotated while the
// request was under way, or the signer's [KeySource] has another key.
//
// # Keys in files
//
// A [KeyFile] holds a key and its ID, and is replaced in one step. A bot that
// reads its key from one ([NewClientFromEnv]) follows when another process
// rotates the key: its next refused request reads the file again.
//
// # Secrets
//
// A generated private key is a [PrivateKeyPEM]: it prints and logs as
// [REDACTED], encoding it fails, and [PrivateKeyPEM.Reveal] is the one way to
// its text. Signers and clients print without their keys. Keys that
// [ParsePrivateKey] returns are the standard library's and do not hide
// themselves. The package logs nothing and has no debug mode. It requires https
// except on loopback, and never follows redirects, since Go would send the
// signature headers on to any host. (Under GOOS=js the browser decides about
// redirects.)
//
// # What is known
//
// The calls follow Kalshi's documented schema 3.34.0 of October 2026. Where a
// comment says documented, Kalshi documents it; observed is what others saw on
// the wire. Package kalshitest is a stand-in for the exchange, to try and test
// programs without an account.
package kalshi
