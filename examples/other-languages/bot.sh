#!/bin/sh
# Get the balance, and list, generate, use and delete an API key of Kalshi with curl
# and openssl (3.0 or newer, for Ed25519). The credentials are in KALSHI_BASE_URL,
# KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY:
#
#     kalshitest -respond 'GET /portfolio/balance 200 {"balance":123456}' -- sh bot.sh
set -eu

umask 077 # the files below hold private keys
dir=$(mktemp -d)
made=
finish() {
	status=$?
	trap - EXIT
	if [ -n "$made" ]; then # it failed half-way
		key_id=$KALSHI_API_KEY_ID key=$dir/first.pem
		call DELETE "/api_keys/$made" || echo "the key $made was not deleted" >&2
	fi
	rm -rf "$dir"
	exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

# call METHOD PATH [JSON] sends a request that $key signs, and prints the body of
# the response. It fails on a status that is not 2xx.
call() {
	timestamp=$(date +%s)000 # milliseconds
	base_path=/${KALSHI_BASE_URL#*://*/}
	printf %s "$timestamp$1$base_path${2%%\?*}" >"$dir/text"
	case $(openssl pkey -in "$key" -noout -text_pub) in
	*ED25519*) openssl pkeyutl -sign -rawin -inkey "$key" -in "$dir/text" -out "$dir/signature" ;;
	*) openssl dgst -sha256 -sign "$key" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest \
		-out "$dir/signature" "$dir/text" ;;
	esac
	curl --silent --show-error --fail --max-time 10 --request "$1" \
		--header "KALSHI-ACCESS-KEY: $key_id" \
		--header "KALSHI-ACCESS-TIMESTAMP: $timestamp" \
		--header "KALSHI-ACCESS-SIGNATURE: $(openssl base64 -A -in "$dir/signature")" \
		${3+--header "Content-Type: application/json" --data "$3"} \
		"$KALSHI_BASE_URL$2"
}

# field NAME prints a text field of the JSON object on stdin.
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }

printf '%s\n' "$KALSHI_PRIVATE_KEY" >"$dir/first.pem"
key_id=$KALSHI_API_KEY_ID key=$dir/first.pem
echo "balance: $(call GET /portfolio/balance)"
before=$(call GET /api_keys)
echo "keys: $before"

for type in ed25519 rsa; do
	response=$(call POST /api_keys/generate '{"name":"curl example","key_type":"'$type'","scopes":["read"]}')
	made=$(echo "$response" | field api_key_id)
	if [ -z "$made" ]; then
		echo "the response has no api_key_id" >&2
		exit 1
	fi
	echo "generated: $type $made"
	# The private key is shown this once: a bot saves it here.
	printf '%b' "$(printf %s "$response" | field private_key)" >"$dir/made.pem"

	key_id=$made key=$dir/made.pem
	case $(call GET /api_keys) in
	*"$made"*) echo "signed with the new key" ;;
	*)
		echo "the new key does not list itself" >&2
		exit 1
		;;
	esac

	key_id=$KALSHI_API_KEY_ID key=$dir/first.pem
	call DELETE "/api_keys/$made"
	made=
	echo "deleted"
done

if [ "$(call GET /api_keys)" != "$before" ]; then
	echo "other keys than before" >&2
	exit 1
fi
