"""Get the balance, and list, generate, use and delete an API key of Kalshi, in Python.

It needs the cryptography package, and otherwise the standard library. The
credentials are in KALSHI_BASE_URL, KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY:

    kalshitest -respond 'GET /portfolio/balance 200 {"balance":123456}' -- python3 bot.py

Its tests are in test_bot.py.
"""

import base64
import json
import os
import sys
import time
import urllib.parse
import urllib.request

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class Client:
    """Signs requests with one API key."""

    def __init__(self, base_url: str, key_id: str, pem: str):
        self.base_url = base_url
        self.key_id = key_id
        self.key = load_pem_private_key(pem.encode(), password=None)

    def sign(self, text: bytes) -> str:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            signature = self.key.sign(text)
        else:  # RSA
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
            signature = self.key.sign(text, pss, hashes.SHA256())
        return base64.b64encode(signature).decode()

    def call(self, method: str, path: str, body: dict | None = None) -> dict | None:
        url = self.base_url + path
        timestamp = str(int(time.time() * 1000))
        signed_path = urllib.parse.urlsplit(url).path  # with /trade-api/v2, without the query
        request = urllib.request.Request(url, method=method, headers={
            "KALSHI-ACCESS-KEY": self.key_id,
            "KALSHI-ACCESS-TIMESTAMP": timestamp,
            "KALSHI-ACCESS-SIGNATURE": self.sign((timestamp + method + signed_path).encode()),
        })
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as response:  # raises on 4xx and 5xx
            text = response.read()
        return json.loads(text) if text else None


def client_from_env() -> Client:
    return Client(os.environ["KALSHI_BASE_URL"], os.environ["KALSHI_API_KEY_ID"], os.environ["KALSHI_PRIVATE_KEY"])


def balance(client: Client) -> int:
    """The balance in cents."""
    return client.call("GET", "/portfolio/balance")["balance"]


def main() -> None:
    client = client_from_env()
    print("balance:", balance(client), "cents")

    before = {key["api_key_id"] for key in client.call("GET", "/api_keys")["api_keys"]}
    print("keys:", len(before))

    for key_type in ("ed25519", "rsa"):
        made = client.call("POST", "/api_keys/generate", {
            "name": "python example", "key_type": key_type, "scopes": ["read"],
        })
        try:
            print("generated:", key_type, made["api_key_id"])
            # The private key is shown this once: a bot saves it here.
            reader = Client(client.base_url, made["api_key_id"], made["private_key"])
            listed = {key["api_key_id"] for key in reader.call("GET", "/api_keys")["api_keys"]}
            if listed != before | {made["api_key_id"]}:
                sys.exit(f"the new key lists {listed}")
            print("signed with the new key")
        finally:
            client.call("DELETE", "/api_keys/" + made["api_key_id"])
            print("deleted")

    after = {key["api_key_id"] for key in client.call("GET", "/api_keys")["api_keys"]}
    if after != before:
        sys.exit(f"other keys than before: {after}")


if __name__ == "__main__":
    main()
