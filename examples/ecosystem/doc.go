// Package ecosystem shows the SDK with the libraries and systems that a bot may
// use: rate limits, retries, tracing and metrics, WebSockets, FIX, generated
// clients, secret managers, Kubernetes, proxies, private certificate authorities
// and HTTP mocks.
//
// It has tests only, one file per topic, written to be copied from. All run
// against kalshitest, on loopback. It is a module of its own, so that none of
// these libraries becomes a dependency of the SDK.
package ecosystem
