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

A test suite finds the stand-in's own paths, see below, by a fourth:

  KALSHITEST_URL       such as http://127.0.0.1:8080/kalshitest

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

The stand-in has the API Keys endpoints, and responds with 404 on paths that have no
-respond:

  GET    /trade-api/v2/api_keys             list the keys
  POST   /trade-api/v2/api_keys             register a public key
  POST   /trade-api/v2/api_keys/generate    have a key pair made
  DELETE /trade-api/v2/api_keys/{id}        delete a key

Nothing is kept when it stops. It logs a line for each request, without keys. When a
request is not authentic, the line and the response's header Kalshitest-Diagnosis say
why, as far as the stand-in can tell:

  GET /trade-api/v2/api_keys: 401 Unauthorized (the query is signed: leave it out ...)

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
  -respond RESPONSE       serve another path; may be given several times
  -responses FILE         serve those of a JSON list

-rsa, -basic and -fcm take =false, too. A response is method, path, status and body. It
is for signed requests; their scopes are not checked. A later response to the same path
takes the place of an earlier one. {id} is any path element:

  -respond 'GET /portfolio/balance 200 {"balance":5}'
  -respond 'DELETE /portfolio/orders/{id} 200 {}'

In a FILE, Body is text or any JSON, and Status is 200 if omitted:

  [{"Method": "GET", "Path": "/portfolio/balance", "Body": {"balance": 5}},
   {"Method": "POST", "Path": "/portfolio/orders", "Status": 429,
    "Header": {"Retry-After": ["1"]}}]

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

Faults come before the check of the signature, as the exchange's 410 for a retired path
does. While a location attestation has lapsed (see region-expiration), POSTs to paths
of -respond fail with 403, as orders do.

Test suites in any language control the stand-in while it runs, by unsigned requests
below KALSHITEST_URL. Every response is JSON, an error {"error": "..."}:

  POST   reset              before each test: no faults, the requests forgotten, keys,
                            clock and responses as at the start; the first key is
                            there again if it was deleted. Responds with the faults
                            that waited: {"Faults": [...]}
  GET    faults             those that wait for requests; a test should end with none
  POST   faults             add one, as for -fault
  DELETE faults
  GET    requests           what arrived, with Status, Processed and Diagnosis
  DELETE requests
  GET    keys               without private keys
  POST   keys               add one, such as {"Name": "reader", "Scopes": ["read"]};
                            responds with its PrivateKey
  DELETE keys/{id}
  POST   responses          one, or a list, as in a FILE
  DELETE responses
  PUT    clock              {"offset": "30s"}
  PUT    region-expiration  {"time": "2026-11-25T12:00:00Z"}, or null for none

  curl -X POST -d '{"Path": "/api_keys", "Status": 503}' "$KALSHITEST_URL/faults"

They are there for programs on this machine: requests with an Origin header, which web
pages send, and for a host that is not a loopback address are rejected with 403.

Exit status: that of COMMAND; 3 if it succeeded and faults still wait, which are
printed; 128+n if signal n ended it; 127 if it is not found, 126 if it cannot be run; 2
if kalshitest could not start; 0 after Ctrl-C or SIGTERM without a COMMAND. SIGTERM is
passed on to COMMAND; after Ctrl-C kalshitest waits for it. (go run turns each failing
status into 1: build or install it where the status matters.)
`
