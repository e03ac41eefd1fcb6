// Tests of bot.mjs, against a stand-in for the exchange:
//
//     kalshitest -- node --test bot.test.mjs
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { ApiKeysApi, PortfolioApi } from "kalshi-typescript";
import { api, balance, main } from "./bot.mjs";

// control sends a request to the stand-in's control, and returns its JSON.
async function control(method, path, body) {
  const response = await fetch(process.env.KALSHITEST_URL + "/" + path, { method, body: body && JSON.stringify(body) });
  const result = await response.json();
  assert.ok(response.ok, result.error);
  return result;
}

beforeEach(async () => {
  await control("POST", "reset");
  await control("POST", "responses", { Method: "GET", Path: "/portfolio/balance", Body: { balance: 123456 } });
});

afterEach(async () => {
  assert.deepEqual(await control("GET", "faults"), [], "a fault did not happen, so the test tested nothing");
});

// status returns a check of the error of a call: that it has this status.
const status = (code) => (error) => error.response?.status === code;

test("all calls", async () => {
  await main();
  const requests = await control("GET", "requests");
  assert.equal(requests.length, 6);
  assert.ok(requests.every((request) => request.Processed));
});

test("an RSA key, which the SDK signs with", async () => {
  const key = await control("POST", "keys", { Type: "rsa", Scopes: ["read"] });
  const response = await api(PortfolioApi, key.ID, key.PrivateKey).getBalance();
  assert.equal(response.data.balance, 123456);
});

test("503", async () => {
  await control("POST", "faults", { Path: "/portfolio/balance", Status: 503 });
  await assert.rejects(balance(), status(503));
});

test("the response to a generate is lost", async () => {
  await control("POST", "faults", { Path: "/api_keys/generate", Process: true, Reset: true });
  await assert.rejects(main(), { code: "ECONNRESET" });
  assert.equal((await control("GET", "keys")).length, 2, "the key was made, and nobody has it");
});

test("a generated key that does not work is deleted", async () => {
  // The first list is the bot's own, the second that of the new key.
  await control("POST", "faults", { Method: "GET", Path: "/api_keys", Delay: "1ms" });
  await control("POST", "faults", { Method: "GET", Path: "/api_keys", Status: 500 });
  await assert.rejects(main(), status(500));
  assert.equal((await control("GET", "keys")).length, 1);
});

test("a clock that is off", async () => {
  await control("PUT", "clock", { offset: "1m" });
  await assert.rejects(balance(), (error) => {
    assert.match(error.response.headers["kalshitest-diagnosis"], /behind the server's clock/);
    return status(401)(error);
  });
});

test("a key ID with a stray character is diagnosed", async () => {
  const keys = api(ApiKeysApi, process.env.KALSHI_API_KEY_ID + "x");
  await assert.rejects(keys.getApiKeys(), status(401));
  const [request] = await control("GET", "requests");
  assert.match(request.Diagnosis, /only in characters before or after it/);
});
