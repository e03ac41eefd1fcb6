#!/usr/bin/env bash
# Runs each client and the test suites against the stand-in: with a first key of each
# type, and with a fault, at which a client must fail. It prints why it skips one.
set -euo pipefail
cd "$(dirname "$0")"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/kalshitest" ../../cmd/kalshitest
balance='GET /portfolio/balance 200 {"balance":123456}'

run() { # command
	for type in "" -rsa; do
		echo "-- kalshitest $type -respond '$balance' -- $*"
		"$dir/kalshitest" $type -respond "$balance" -- "$@"
	done
	echo "-- the same with a fault"
	if "$dir/kalshitest" -respond "$balance" -fault '{"Path":"/api_keys/*","Status":503,"Times":-1}' -- "$@" >/dev/null 2>&1; then
		echo "$* did not notice the fault"
		exit 1
	fi
}
suite() { # command
	for type in "" -rsa; do
		echo "-- kalshitest $type -- $*"
		"$dir/kalshitest" $type -- "$@"
	done
}
skip() { echo "-- skipped $1: $2"; }

if ! command -v python3 >/dev/null; then
	skip bot.py "there is no python3"
elif ! python3 -c 'import cryptography' 2>/dev/null; then
	skip bot.py "python3 has no package cryptography"
else
	run python3 bot.py
	suite python3 -m unittest -b test_bot
fi

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	skip bot.mjs "there is no node with npm"
else
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	run node bot.mjs
	suite node --test bot.test.mjs
fi

if ! command -v curl >/dev/null; then
	skip bot.sh "there is no curl"
elif ! openssl pkeyutl -help 2>&1 | grep -- -rawin >/dev/null; then
	skip bot.sh "there is no openssl that signs with Ed25519 (3.0 or newer)"
else
	run sh bot.sh
fi
