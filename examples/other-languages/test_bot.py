"""Tests of bot.py, against a stand-in for the exchange:

    kalshitest -- python3 -m unittest -v test_bot
"""

import json
import os
import unittest
import urllib.error
import urllib.request

import bot


def control(method: str, path: str, body=None):
    """Sends a request to the stand-in's control, and returns its JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["KALSHITEST_URL"] + "/" + path, data, method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


class BotTest(unittest.TestCase):
    def setUp(self):
        control("POST", "reset")
        control("POST", "responses", {"Method": "GET", "Path": "/portfolio/balance", "Body": {"balance": 123456}})

    def tearDown(self):
        self.assertEqual(control("GET", "faults"), [], "a fault did not happen, so the test tested nothing")

    def test_all_calls(self):
        bot.main()
        requests = control("GET", "requests")
        self.assertEqual(len(requests), 9)
        self.assertTrue(all(request["Processed"] for request in requests))

    def test_rsa_key(self):
        key = control("POST", "keys", {"Type": "rsa", "Scopes": ["read"]})
        client = bot.Client(os.environ["KALSHI_BASE_URL"], key["ID"], key["PrivateKey"])
        self.assertEqual(bot.balance(client), 123456)

    def test_service_unavailable(self):
        control("POST", "faults", {"Path": "/portfolio/balance", "Status": 503})
        with self.assertRaisesRegex(urllib.error.HTTPError, "503"):
            bot.balance(bot.client_from_env())

    def test_response_to_generate_is_lost(self):
        control("POST", "faults", {"Path": "/api_keys/generate", "Process": True, "Drop": True})
        with self.assertRaises(ConnectionError):
            bot.main()
        self.assertEqual(len(control("GET", "keys")), 2, "the key was made, and nobody has it")

    def test_generated_key_is_deleted_when_it_does_not_work(self):
        # The first list is the bot's own, the second that of the new key.
        control("POST", "faults", {"Method": "GET", "Path": "/api_keys", "Delay": "1ms"})
        control("POST", "faults", {"Method": "GET", "Path": "/api_keys", "Status": 500})
        with self.assertRaisesRegex(urllib.error.HTTPError, "500"):
            bot.main()
        self.assertEqual(len(control("GET", "keys")), 1)

    def test_clock_that_is_off(self):
        control("PUT", "clock", {"offset": "1m"})
        with self.assertRaisesRegex(urllib.error.HTTPError, "401") as caught:
            bot.balance(bot.client_from_env())
        self.assertRegex(caught.exception.headers["Kalshitest-Diagnosis"], "behind the server's clock")

    def test_signature_over_the_query_is_diagnosed(self):
        client = bot.client_from_env()
        sign = client.sign
        client.sign = lambda text: sign(text + b"?a=b")
        with self.assertRaisesRegex(urllib.error.HTTPError, "401"):
            client.call("GET", "/portfolio/balance?a=b")
        (request,) = control("GET", "requests")
        self.assertRegex(request["Diagnosis"], "^the query is signed")

    def test_lapsed_location_attestation(self):
        control("POST", "responses", {"Method": "POST", "Path": "/portfolio/orders", "Status": 201})
        control("PUT", "region-expiration", {"time": "2020-01-01T00:00:00Z"})
        with self.assertRaisesRegex(urllib.error.HTTPError, "403"):
            bot.client_from_env().call("POST", "/portfolio/orders", {})


if __name__ == "__main__":
    unittest.main()
