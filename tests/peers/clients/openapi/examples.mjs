// Runs every example of the documents against the API. Each example of docs/examples.md is run with curl, as
// TypeScript and from docs/examples.http, and must get the response that the page shows. The shell blocks of
// docs/endpoints.md and of README.md's first request are run as well. Ids, times and cursors are replaced by
// placeholders before comparing; everything else must be equal.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const { TASK_API_URL: api, TASK_API_USER: user, TASK_API_TOKEN: token } = process.env;
const root = fileURLToPath(new URL("../../../..", import.meta.url));
const read = (path) => readFileSync(join(root, path), "utf8");
assert.equal(user, "alice", "the examples are for the user alice");

/** Returns the fenced blocks of a document, each with its heading. */
function blocks(markdown) {
  const found = [];
  let heading = "";
  let block;
  for (const line of markdown.split("\n")) {
    if (block && line === "```") {
      found.push({ ...block, text: block.lines.join("\n") });
      block = undefined;
    } else if (block) block.lines.push(line);
    else if (line.startsWith("```")) block = { heading, language: line.slice(3), lines: [] };
    else if (line.startsWith("#")) heading = line.replace(/^#+ /, "");
  }
  return found;
}

/** Replaces what differs from run to run by placeholders. */
function normalized(text) {
  return text
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, "<time>")
    .replace(/("timestamp": ?)"[^"]*"/g, '$1"<time>"')
    .replace(/("(next_)?cursor": ?)"[^"]*"/g, '$1"<cursor>"')
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, "<uuid>")
    .replace(/("id": ?|"deleted": ?\[)\d+/g, "$1<number>")
    .replace(/(\/plain\/api\/alice\/tasks\/)\d+/g, "$1<number>");
}

/** Returns status, header fields and body of an HTTP message. */
function parse(message) {
  const [head, ...body] = message.replaceAll("\r", "").split("\n\n");
  const [statusLine, ...fields] = head.split("\n");
  const headers = new Map(
    fields.map((field) => [field.slice(0, field.indexOf(":")).toLowerCase(), field.slice(field.indexOf(":") + 2)]),
  );
  return { status: Number(statusLine.split(" ")[1]), headers, body: body.join("\n\n").trim() };
}

/** Checks that a response equals the one that a document shows. */
function compare(answer, shown, name) {
  const body = (text) => (text === "" ? null : JSON.parse(normalized(JSON.stringify(JSON.parse(text)))
    .replaceAll(":<number>", ':"<number>"')));
  assert.equal(answer.status, shown.status, `${name}: ${answer.body}`);
  assert.deepEqual(body(answer.body), body(shown.body), name);
  for (const [header, value] of shown.headers) {
    assert.equal(normalized(answer.headers.get(header) ?? ""), normalized(value), `${name}: ${header}`);
  }
}

const call = (method, path, body) =>
  fetch(api + path, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });

/** Resets alice to the one task with which each example begins, and returns its ids. */
async function reset() {
  await clear();
  const id = (await (await call("POST", "/api/alice/tasks", { title: "Buy milk" })).json()).data.id;
  const [{ id: number }] = await (await call("GET", "/plain/api/alice/tasks")).json();
  return { id, number };
}

/** Deletes everything about alice, including idempotency keys, which are kept after a task is deleted. */
async function clear() {
  assert.equal((await call("DELETE", "/api/alice")).status, 204);
}

/** Runs a bash script and returns its output. */
const bash = (script, variables) =>
  execFileSync("bash", ["-euo", "pipefail", "-c", script], {
    env: { ...process.env, API: api, TOKEN: token, ...variables },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });

/**
 * Returns the examples of docs/examples.md: under each heading a block of curl, one of TypeScript, and the
 * response.
 */
function examples() {
  const page = blocks(read("docs/examples.md")).filter(({ heading }) => heading !== "Setup");
  const headings = [...new Set(page.map(({ heading }) => heading))];
  return headings.map((heading) => {
    const [sh, ts, http, ...more] = page.filter((block) => block.heading === heading);
    assert.deepEqual([sh?.language, ts?.language, http?.language, more.length], ["sh", "ts", "http", 0], heading);
    return { heading, sh: sh.text, ts: ts.text, shown: parse(http.text) };
  });
}

/** Returns the requests of docs/examples.http by heading. */
function requests() {
  const [, ...parts] = read("docs/examples.http").split(/^### /m);
  return new Map(
    parts.map((part) => {
      const [heading, ...lines] = part.trim().split("\n");
      const [head, ...body] = lines.join("\n").split("\n\n");
      const [first, ...fields] = head.split("\n");
      const [method, url] = first.split(" ");
      const headers = fields.map((field) => field.split(/: (.*)/s).slice(0, 2));
      return [heading, { method, url, headers, body: body.join("\n\n").trim() }];
    }),
  );
}

/** Compiles the TypeScript of all examples and returns it as functions. */
async function compiled(all) {
  const folder = join(root, "tests/peers/openapi/node_modules/.examples");
  mkdirSync(folder, { recursive: true });
  const functions = all.map(({ ts }) => {
    const answer = ts.includes("const answer") ? "answer" : "null";
    return `async (api: string, token: string, id: string, number: number) => {
      void [api, token, id, number];
      ${ts}
      return { response, answer: ${answer} };
    }`;
  });
  writeFileSync(join(folder, "examples.ts"), `export const examples = [${functions.join(",\n")}];\n`);
  const options = ["--strict", "--target", "es2022", "--module", "es2022", "--types", "node", "--skipLibCheck"];
  execFileSync("npx", ["--no-install", "tsc", ...options, "--outDir", folder, join(folder, "examples.ts")], {
    stdio: ["ignore", "inherit", "ignore"],
  });
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  return (await import(join(folder, "examples.js"))).examples;
}

const filled = (text, values) => text.replace(/\{\{(\w+)\}\}/g, (_, name) => values[name]);

const all = examples();
const http = requests();
assert.deepEqual([...http.keys()], all.map(({ heading }) => heading), "docs/examples.md and docs/examples.http have the same headings");
const functions = await compiled(all);
const covered = new Map();
const { paths } = JSON.parse(read("openapi.json"));
for (const [index, { heading, sh, shown }] of all.entries()) {
  let ids = await reset();
  const variables = { ID: ids.id, NUMBER: String(ids.number) };
  compare(parse(bash(sh, variables)), shown, `${heading}, curl`);

  ids = await reset();
  const { response, answer } = await functions[index](api, token, ids.id, ids.number);
  const body = answer === null ? "" : JSON.stringify(answer);
  compare({ status: response.status, headers: response.headers, body }, shown, `${heading}, TypeScript`);

  ids = await reset();
  const request = http.get(heading);
  const values = { api, token, ...ids };
  const sent = await fetch(filled(request.url, values), {
    method: request.method,
    headers: request.headers.map(([name, value]) => [name, filled(value, values)]),
    ...(request.body ? { body: request.body } : {}),
  });
  compare({ status: sent.status, headers: sent.headers, body: await sent.text() }, shown, `${heading}, .http`);

  const path = filled(request.url, { api: "", id: "{task_id}", number: "{task_id}" }).replace(/\?.*/, "");
  const template = Object.keys(paths).find((template) =>
    new RegExp(`^${template.replace(/\{\w+\}/g, "[^/]+")}$`).test(path),
  );
  const operation = paths[template]?.[request.method.toLowerCase()]?.operationId;
  assert(operation, `${heading}: no operation of openapi.json`);
  const statuses = covered.get(operation) ?? new Set();
  covered.set(operation, statuses.add(sent.ok ? "success" : "error"));
}
for (const { operationId, tags } of Object.values(paths).flatMap((methods) => Object.values(methods))) {
  if (["getDocs", "getOpenApi"].includes(operationId)) continue;
  const wanted = tags.includes("service") ? ["success"] : ["success", "error"];
  for (const kind of wanted) assert(covered.get(operationId)?.has(kind), `${operationId} has no example of ${kind}`);
}
console.log(`docs/examples.md: ${all.length} examples of ${covered.size} operations, each in three forms`);

/** Runs the shell blocks of a document in one shell, and compares their output with what it shows. */
async function follow(name, markdown) {
  await clear();
  const steps = blocks(markdown);
  const commands = steps.filter(({ language }) => language === "sh");
  // The API and the token of this run take the place of the document's.
  const own = (text) => text.replace(/^(API|TOKEN)=.*$/gm, "");
  const printed = bash(commands.map(({ text }) => `${own(text)}\necho; echo @@@`).join("\n"), {}).split("@@@\n");
  const answers = steps.flatMap((step, index) => (step.language === "sh" ? [] : [index]));
  for (const index of answers) {
    const [shown, command] = [steps[index], steps[index - 1]];
    const output = normalized(printed[commands.indexOf(command)].replaceAll("\r", "").trim());
    const actual = shown.language === "json" ? output : output.split("\n")[0];
    assert.equal(actual, normalized(shown.text), command.text);
  }
  console.log(`${name}: ${commands.length} commands, ${answers.length} answers`);
  return answers.length;
}

assert((await follow("docs/endpoints.md", read("docs/endpoints.md"))) >= 14, "the answers of docs/endpoints.md are read");
const [, firstRequest] = read("README.md").split(/^## A first request$/m);
assert.equal(await follow("README.md", firstRequest.split(/^## /m)[0]), 2, "the answers of README.md are read");
