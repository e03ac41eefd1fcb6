// Package kalshi signs every request that a trading bot sends to Kalshi, and makes, lists, deletes
// and rotates the API keys that it signs with. It is unofficial: not affiliated with or endorsed by
// Kalshi.
//
//	client, err := kalshi.NewClientFromEnv() // KALSHI_PRIVATE_KEY_PATH, KALSHI_BASE_URL
//	if err != nil {
//		log.Fatal(err)
//	}
//	keys, err := client.GetAPIKeys(ctx)
//
// A [Client] has a method for each of the four calls that manage API keys, and a few that combine
// them. [Client.HTTPClient] is an [*http.Client] for all other endpoints: orders, positions, a
// generated client, a WebSocket dial. A [Signer] holds the key that both sign with. Both are safe for
// concurrent use.
//
// # Errors
//
// Bad input is a [*ValidationError], returned before anything is sent. A response that is not 2xx is
// an [*APIError], embedded in a type of its own for 400, 401, 403, 404, 409, 429 and 5xx; a 2xx that
// cannot be understood is an [*InvalidResponseError]. Without a response, the error is the standard
// library's, such as [*url.Error] or [context.Canceled]; within it, a [*NotSentError] says that the
// request was not sent. If a create request may have succeeded but no usable response arrived, the
// error is an [*OutcomeUnknownError]. Check for [*RotationError] first, then [*OutcomeUnknownError],
// then the rest: each may wrap the next.
//
// # Retries
//
// Calls are retried up to twice (see [WithMaxRetries]), with jittered exponential backoff, after a
// 429, a transient 5xx, a lost connection or an unreadable response; so are GET and HEAD through
// HTTPClient. A request that creates a key is retried only after a 429 or when none of it was sent, and
// a bot's other requests never. After a 401 for an expired timestamp or a refused key, any request is
// signed and sent again, since it was not processed: by the service's clock if that differs by at most
// 24 hours, or with the key that has replaced the refused one. That does not count as a retry.
//
// # Secrets
//
// [PrivateKeyPEM] and [Credentials] neither print, log nor encode their secret; keys that
// [ParsePrivateKey] returns are the standard library's and print themselves. Nothing is logged without
// [WithLogger]. HTTPS is required except on loopback, and redirects are never followed, since Go would
// send the signature headers on to any host. (Under GOOS=js the browser decides.)
//
// # What is known
//
// The calls follow Kalshi's documented schema 3.34.0 of October 2026. Where a comment says documented,
// Kalshi documents it; observed is what others saw on the wire.
package kalshi
