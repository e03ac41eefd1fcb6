// Package ecosystem shows the SDK at work with the libraries that a bot may
// bring along: retrying and tracing transports, proxies and private
// certificate authorities, WebSockets, generated clients and HTTP mocks.
//
// It has tests only, one file per topic, written to be copied from. All run
// against kalshitest, on loopback. It is a module of its own, so that nothing
// of this becomes a dependency of the SDK.
package ecosystem
