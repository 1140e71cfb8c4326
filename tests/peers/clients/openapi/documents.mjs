// Runs the shell blocks of docs/endpoints.md and of README.md's first request with curl, and compares what they
// print with what the documents show. Ids, times and cursors are replaced by placeholders before comparing.
// Everything else must be equal.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const { TASK_API_URL: api, TASK_API_USER: user, TASK_API_TOKEN: token } = process.env;
const read = (path) => readFileSync(new URL(`../../../../${path}`, import.meta.url), "utf8");
assert.equal(user, "alice", "the examples are for the user alice");

/** Returns the fenced blocks of a document. */
const blocks = (markdown) =>
  [...markdown.matchAll(/^```(\w+)\n(.*?)\n```$/gms)].map(([, language, text]) => ({ language, text }));

/** Replaces what differs from run to run by placeholders. */
const normalized = (text) =>
  text
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, "<time>")
    .replace(/("timestamp": ?)"[^"]*"/g, '$1"<time>"')
    .replace(/("(next_)?cursor": ?)"[^"]*"/g, '$1"<cursor>"')
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, "<uuid>")
    .replace(/("id": ?|"deleted": ?\[)\d+/g, "$1<number>");

/** Runs the shell blocks of a document in one shell. Returns how many responses were compared. */
function follow(name, markdown) {
  // curl 7.81, which Ubuntu 22.04 has, knows neither.
  assert.doesNotMatch(markdown, /curl.* --json|%header\{/, name);
  const steps = blocks(markdown);
  const commands = steps.filter(({ language }) => language === "sh").map(({ text }) => text);
  // The API and the token of this run take the place of the document's.
  const script = commands.map((text) => `${text.replace(/^(API|TOKEN)=.*$/gm, "")}\necho; echo @@@`).join("\n");
  const output = execFileSync("bash", ["-euo", "pipefail", "-c", script], {
    env: { ...process.env, API: api, TOKEN: token },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const printed = output.replaceAll("\r", "").split("@@@\n");
  let command = -1;
  let compared = 0;
  for (const { language, text } of steps) {
    if (language === "sh") {
      command += 1;
      continue;
    }
    // Of a response with headers, the document shows the status line.
    const [response] = language === "http" ? printed[command].split("\n") : [printed[command].trim()];
    assert.equal(normalized(response), normalized(text), commands[command]);
    compared += 1;
  }
  console.log(`${name}: ${commands.length} commands, ${compared} responses`);
  return compared;
}

// Everything about alice, including idempotency keys, which are kept after a task is deleted.
const headers = { Authorization: `Bearer ${token}` };
assert.equal((await fetch(`${api}/api/alice`, { method: "DELETE", headers })).status, 204);

const endpoints = read("docs/endpoints.md");
const headings = endpoints.match(/^## .*$/gm).join("\n");
for (const [path, methods] of Object.entries(JSON.parse(read("openapi.json")).paths)) {
  for (const method of Object.keys(methods)) {
    const route = `${method.toUpperCase()} ${path.replace(/^\/plain(?=\/api)/, "")}`;
    assert(headings.includes(`\`${route}\``), `docs/endpoints.md has no heading with ${route}`);
  }
}
const [, firstRequest] = read("README.md").split(/^## A first request$/m);
assert.equal(follow("README.md", firstRequest.split(/^## /m)[0]), 2, "the responses of README.md are read");
assert(follow("docs/endpoints.md", endpoints) >= 20, "the responses of docs/endpoints.md are read");
