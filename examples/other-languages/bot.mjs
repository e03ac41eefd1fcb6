// Get the balance, and list, generate, use and delete an API key of Kalshi with the
// official TypeScript SDK. The credentials are in KALSHI_BASE_URL,
// KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY:
//
//     npm ci
//     kalshitest -respond 'GET /portfolio/balance 200 {"balance":123456}' -- node bot.mjs
//
// Its tests are in bot.test.mjs.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import { fileURLToPath } from "node:url";
import axios from "axios";
import { ApiKeyScope, ApiKeysApi, Configuration, PortfolioApi } from "kalshi-typescript";

const basePath = process.env.KALSHI_BASE_URL;

// api returns a part of the SDK's endpoints, such as ApiKeysApi, for one key. The
// SDK signs through an interceptor that it adds to axios, so each key needs an axios
// of its own: on a shared one the first key would sign for all.
export function api(Api, keyId = process.env.KALSHI_API_KEY_ID, privateKeyPem = process.env.KALSHI_PRIVATE_KEY) {
  const http = axios.create({ timeout: 10_000 });
  const key = crypto.createPrivateKey(privateKeyPem);
  if (key.asymmetricKeyType === "rsa") {
    return new Api(new Configuration({ basePath, apiKey: keyId, privateKeyPem }), undefined, http);
  }
  // This version of the SDK signs with RSA only. Ed25519 takes a few lines.
  http.interceptors.request.use((config) => {
    const timestamp = Date.now().toString();
    const text = timestamp + config.method.toUpperCase() + new URL(config.url).pathname;
    config.headers.set("KALSHI-ACCESS-KEY", keyId);
    config.headers.set("KALSHI-ACCESS-TIMESTAMP", timestamp);
    config.headers.set("KALSHI-ACCESS-SIGNATURE", crypto.sign(null, Buffer.from(text), key).toString("base64"));
    return config;
  });
  return new Api(new Configuration({ basePath }), undefined, http);
}

async function ids(keys) {
  const response = await keys.getApiKeys();
  return response.data.api_keys.map((key) => key.api_key_id).sort();
}

// balance returns the balance in cents.
export async function balance() {
  const response = await api(PortfolioApi).getBalance();
  return response.data.balance;
}

export async function main() {
  console.log("balance:", await balance(), "cents");
  const client = api(ApiKeysApi);

  const before = await ids(client);
  console.log("keys:", before.length);

  const { data: made } = await client.generateApiKey({
    name: "typescript example",
    scopes: [ApiKeyScope.ApiKeyScopeRead],
  });
  try {
    console.log("generated:", made.api_key_id);
    // The private key is shown this once: a bot saves it here.
    const reader = api(ApiKeysApi, made.api_key_id, made.private_key);
    assert.deepEqual(await ids(reader), [...before, made.api_key_id].sort());
    console.log("signed with the new key");
  } finally {
    await client.deleteApiKey(made.api_key_id);
    console.log("deleted");
  }
  assert.deepEqual(await ids(client), before);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    // Not the whole error: axios puts the request's headers into it.
    console.error(error.response?.data ?? error.message);
    process.exitCode = 1;
  });
}
