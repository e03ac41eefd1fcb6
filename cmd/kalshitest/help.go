package main

// What -h prints.

const help = `kalshitest is a stand-in for the Kalshi exchange, to try and test a trading bot
without an account and without the network. It checks signatures, timestamps and
scopes as the exchange does, and it fails on demand. Bots in any language can use
it. It is not affiliated with Kalshi.

  kalshitest [flags]                    run until Ctrl-C
  kalshitest [flags] -- COMMAND ARGS    run COMMAND against the stand-in, then stop

A bot needs three things. They come as environment variables:

  KALSHI_BASE_URL      the address, such as http://127.0.0.1:8080/trade-api/v2
  KALSHI_API_KEY_ID    the ID of an API key with full access
  KALSHI_PRIVATE_KEY   its private key: PEM text of several lines

With a COMMAND they are in its environment, and KALSHI_PRIVATE_KEY_PATH is not.
Without one they are in a file. A shell reads it with  set -a; . FILE; set +a
and Node with  node --env-file=FILE bot.js.  In Python:

  from cryptography.hazmat.primitives.serialization import load_pem_private_key
  base_url, key_id = os.environ["KALSHI_BASE_URL"], os.environ["KALSHI_API_KEY_ID"]
  key = load_pem_private_key(os.environ["KALSHI_PRIVATE_KEY"].encode(), None)

Requests are signed as for the exchange, in the headers KALSHI-ACCESS-KEY (the key's
ID), KALSHI-ACCESS-TIMESTAMP (milliseconds) and KALSHI-ACCESS-SIGNATURE (base64).
The text to sign is timestamp, method and path without the query, such as
1700000000000GET/trade-api/v2/api_keys. Ed25519 keys sign it as it is; RSA keys sign
with PSS, SHA-256 and a salt of 32 bytes. Whole clients in Python, TypeScript and curl:
https://github.com/seed251d1451/kalshi-go/tree/main/examples/other-languages

The stand-in has the API Keys endpoints, and responds with 404 on other paths:

  GET    /trade-api/v2/api_keys             list the keys
  POST   /trade-api/v2/api_keys             register a public key
  POST   /trade-api/v2/api_keys/generate    have a key pair made
  DELETE /trade-api/v2/api_keys/{id}        delete a key

Nothing is kept when it stops. It logs a line for each request, without keys.

Flags:
  -addr HOST:PORT         where to listen: 127.0.0.1, ::1 or localhost; port 0, the
                          default, takes a free one
  -env FILE               write the variables to FILE, which must not exist; it is
                          removed at the end
  -rsa                    make the first key an RSA key; otherwise it is Ed25519
  -basic                  an account below the usage level that may register keys
  -fcm                    an account that is an FCM member
  -clock-offset DURATION  set the clock ahead (30s) or back (-1m30s)
  -fault JSON             let requests fail; may be given several times

Faults are JSON objects. A request meets the first one that matches it:

  '{"Path": "/api_keys", "Status": 503}'                    the next list or create
  '{"Method": "POST", "Process": true, "Drop": true}'       a key is made, and the
                                                            connection is lost
  '{"Delay": "300ms", "Times": -1}'                         every request is slow
  '{"Status": 429, "Body": "{\"error\":\"too many requests\"}", "Times": 3}'

  Method, Path, KeyID   which requests; "/api_keys/*" is any one key
  Times                 how many of them: 1 if omitted, -1 for all
  Delay                 wait: "300ms", "1.5s"
  Process               let the request take effect first
  Status, Body, Header  respond with these; {"Header": {"Retry-After": ["1"]}}
  Drop, Reset           close the connection without a response
  Cut                   close it after half of the response

Exit status: that of COMMAND; 128+n if signal n ended it; 127 if it is not found,
126 if it cannot be run; 2 if kalshitest could not start; 0 after Ctrl-C or
SIGTERM without a COMMAND. SIGTERM is passed on to COMMAND; after Ctrl-C kalshitest
waits for it. (go run turns each failing status into 1: build or install it where
the status matters.)
`
