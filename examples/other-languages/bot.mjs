// List, generate, use and delete an API key of Kalshi with the official
// TypeScript SDK. The credentials are in KALSHI_BASE_URL, KALSHI_API_KEY_ID and
// KALSHI_PRIVATE_KEY:
//
//     npm ci
//     kalshitest -rsa -- node bot.mjs
import assert from "node:assert/strict";
import crypto from "node:crypto";
import axios from "axios";
import { ApiKeyScope, ApiKeysApi, Configuration } from "kalshi-typescript";

const basePath = process.env.KALSHI_BASE_URL;

// api returns the SDK's API Keys endpoints for one key. The SDK signs through an
// interceptor that it adds to axios, so each key needs an axios of its own: on a
// shared one the first key would sign for all.
function api(keyId, privateKeyPem) {
  const http = axios.create({ timeout: 10_000 });
  const key = crypto.createPrivateKey(privateKeyPem);
  if (key.asymmetricKeyType === "rsa") {
    return new ApiKeysApi(new Configuration({ basePath, apiKey: keyId, privateKeyPem }), undefined, http);
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
  return new ApiKeysApi(new Configuration({ basePath }), undefined, http);
}

async function ids(keys) {
  const response = await keys.getApiKeys();
  return response.data.api_keys.map((key) => key.api_key_id).sort();
}

async function main() {
  const client = api(process.env.KALSHI_API_KEY_ID, process.env.KALSHI_PRIVATE_KEY);

  const before = await ids(client);
  console.log("keys:", before.length);

  const { data: made } = await client.generateApiKey({
    name: "typescript example",
    scopes: [ApiKeyScope.ApiKeyScopeRead],
  });
  try {
    console.log("generated:", made.api_key_id);
    // The private key is shown this once: a bot saves it here.
    const reader = api(made.api_key_id, made.private_key);
    assert.deepEqual(await ids(reader), [...before, made.api_key_id].sort());
    console.log("signed with the new key");
  } finally {
    await client.deleteApiKey(made.api_key_id);
    console.log("deleted");
  }
  assert.deepEqual(await ids(client), before);
}

main().catch((error) => {
  // Not the whole error: axios puts the request's headers into it.
  console.error(error.response?.data ?? error.message);
  process.exitCode = 1;
});
