// Package test holds the suites that test the whole SDK from outside: through
// the exported names of package kalshi alone, against the stand-in exchange of
// package kalshitest. The tests of a single file are beside it in the root.
//
//	faults_test.go            what every call does when something goes wrong: a table
//	hostile_test.go           responses that no client should take at their word
//	memory_test.go            how much memory endless responses may cost
//	httpclient_test.go        a bot's own requests: where they go, and whether they were sent
//	http2_test.go             what net/http sends again
//	secrets_test.go           no private key is ever shown, with proof that one would be found
//	events_test.go            what a client logs
//	clock_test.go             clocks that differ
//	load_test.go              random faults under load, after which each key is accounted for
//	rotation_test.go          rotation while other calls are under way
//	rotation_keys_test.go     rotation of keys of all rights, by themselves and by an admin key
//	rotation_failures_test.go what each failure of a rotation leaves behind: a table
//	rotation_verify_test.go   what proves that the new key works
//	rotation_clients_test.go  other clients and sources that change the key meanwhile
//	rotation_run_test.go      what the suites of rotations share
//	source_test.go            calls whose signer has a key source
//	fleet_test.go             processes that follow one key file through rotations
//	crash_test.go             rotation in a process that is killed
//	files_linux_test.go       what writes to files leave behind: modes, owners, limits, SIGKILL
//	keyfile_test.go           key files behind links, and in other programs
//	schema_test.go            the structs and constants against the documented schema
//	docs_test.go              the exported API, its documentation and README
//	helper_test.go            what the suites share
//	child_test.go             processes that a test starts
//
// Suites run over a listener in memory inside a testing/synctest bubble, where
// waiting takes no time. Those that need a real socket (TCP resets, HTTP/2,
// other processes) run on the loopback interface.
package test
