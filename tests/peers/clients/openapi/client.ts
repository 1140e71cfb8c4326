// Calls every operation of both contracts through openapi-fetch, with types generated from openapi.json. Half
// of the test is that this file compiles: once an error is ruled out, `data` must have the described type.

import assert from "node:assert/strict";
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./generated/openapi.js";

const { TASK_API_URL: baseUrl, TASK_API_USER: user_id, TASK_API_TOKEN: token } = process.env;
assert(baseUrl && user_id && token);

const called = new Set<string>();
const note: Middleware = {
  onRequest({ request, schemaPath }) {
    called.add(`${request.method} ${schemaPath}`);
  },
};

const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
client.use(note);
const stranger = createClient<paths>({ baseUrl });
stranger.use(note);

type Schemas = components["schemas"];
type EnvelopeTask = Schemas["EnvelopeTask"];
type PlainTask = Schemas["PlainTask"];

/** Returns the data of a response. Fails if it is an error. */
function ok<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  assert.equal(answer.error, undefined, JSON.stringify(answer.error));
  assert(answer.data !== undefined);
  return answer.data;
}

async function envelope(): Promise<void> {
  const path = { user_id: user_id! };
  const { data, error, response } = await client.POST("/api/{user_id}/tasks", {
    params: { path, header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { title: "Buy milk", description: null, due_date: "2026-12-24" },
  });
  if (error) throw new Error(`${error.error.code}: ${error.error.message}`);
  const task: EnvelopeTask = data.data;
  assert.equal(response.status, 201);
  assert.equal(response.headers.get("location"), `/api/${user_id}/tasks/${task.id}`);
  assert.equal(task.due_date, "2026-12-24");

  const one = { params: { path: { ...path, task_id: task.id } } };
  assert.deepEqual(ok(await client.GET("/api/{user_id}/tasks/{task_id}", one)).data, task);
  const listed = ok(await client.GET("/api/{user_id}/tasks", { params: { path, query: { limit: 1, offset: 0 } } }));
  const first: EnvelopeTask | undefined = listed.data.items[0];
  assert.equal(first?.id, task.id);
  assert.equal(listed.data.pagination.limit, 1);

  await client.POST("/api/{user_id}/tasks", { params: { path }, body: { title: "Buy bread" } });
  const ids: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null;) {
    const query = { limit: 1, ...(cursor && { cursor }) };
    const { items, pagination } = ok(await client.GET("/api/{user_id}/tasks", { params: { path, query } })).data;
    ids.push(...items.map(({ id }) => id));
    cursor = pagination.next_cursor;
  }
  assert.equal(ids.indexOf(task.id), 1);
  const header = { "If-Match": response.headers.get("etag")! };
  const edit = { params: { path: one.params.path, header }, body: { title: "Buy oat milk" } };
  assert.equal(ok(await client.PATCH("/api/{user_id}/tasks/{task_id}", edit)).data.title, "Buy oat milk");
  const late = await client.PATCH("/api/{user_id}/tasks/{task_id}", edit);
  assert(late.response.status === 412 && late.error?.error.code === "PRECONDITION_FAILED");
  assert.notEqual(late.response.headers.get("etag"), header["If-Match"]);

  const replaced = ok(
    await client.PUT("/api/{user_id}/tasks/{task_id}", { ...one, body: { title: "Buy oat milk", completed: false } }),
  );
  assert.equal(replaced.data.due_date, null);
  const patched = ok(await client.PATCH("/api/{user_id}/tasks/{task_id}", { ...one, body: { description: "2 litres" } }));
  assert.equal(patched.data.description, "2 litres");
  const done = ok(
    await client.PATCH("/api/{user_id}/tasks/{task_id}/complete", { ...one, body: { completed: true } }),
  );
  assert.equal(done.data.completed, true);
  assert.notEqual(done.data.completed_at, null);
  const gone = await client.DELETE("/api/{user_id}/tasks/{task_id}", one);
  assert.equal(gone.response.status, 204);

  const changes = ok(await client.GET("/api/{user_id}/tasks/changes", { params: { path, query: { limit: 500 } } }));
  assert.equal(changes.data.has_more, false);

  const absent = await client.GET("/api/{user_id}/tasks/{task_id}", one);
  assert(absent.error);
  assert.equal(absent.error.error.code, "NOT_FOUND");
  // @ts-expect-error: a title is required.
  const untitled = await client.POST("/api/{user_id}/tasks", { params: { path }, body: {} });
  // The code determines the type of `details`.
  assert(untitled.error?.error.code === "VALIDATION_ERROR");
  assert.deepEqual(untitled.error.error.details.title, ["Field required"]);
  const refused = await stranger.GET("/api/{user_id}/tasks", { params: { path } });
  assert(refused.error);
  assert.equal(refused.error.error.code, "UNAUTHORIZED");
}

async function plain(): Promise<void> {
  const path = { user_id: user_id! };
  const { data, error, response } = await client.POST("/plain/api/{user_id}/tasks", {
    params: { path },
    body: { title: "Walk the dog", completed: false },
  });
  if (error) throw new Error(JSON.stringify(error.detail));
  const task: PlainTask = data;
  assert.equal(response.status, 201);

  const one = { params: { path: { ...path, task_id: task.id } } };
  assert.deepEqual(ok(await client.GET("/plain/api/{user_id}/tasks/{task_id}", one)), task);
  const tasks: PlainTask[] = ok(await client.GET("/plain/api/{user_id}/tasks", { params: { path, query: { sort: "title" } } }));
  assert(tasks.some(({ id }) => id === task.id));
  const changed = ok(
    await client.PUT("/plain/api/{user_id}/tasks/{task_id}", { ...one, body: { description: "the large one" } }),
  );
  assert.equal(changed.title, "Walk the dog");
  const patched = ok(
    await client.PATCH("/plain/api/{user_id}/tasks/{task_id}", { ...one, body: { title: "Walk the large dog" } }),
  );
  assert.equal(patched.description, "the large one");
  assert.equal(ok(await client.PATCH("/plain/api/{user_id}/tasks/{task_id}/complete", one)).completed, true);
  const copy = ok(await client.GET("/plain/api/{user_id}/tasks/changes", { params: { path } }));
  assert.equal(copy.changed.at(-1)?.id, task.id);
  assert.equal((await client.DELETE("/plain/api/{user_id}/tasks/{task_id}", one)).response.status, 204);

  const changes = ok(
    await client.GET("/plain/api/{user_id}/tasks/changes", { params: { path, query: { since: copy.cursor } } }),
  );
  assert.deepEqual(changes.deleted, [task.id]);

  const absent = await client.GET("/plain/api/{user_id}/tasks/{task_id}", one);
  assert(absent.error);
  assert.equal(absent.error.detail, "Task not found");
  const untitled = await client.POST("/plain/api/{user_id}/tasks", { params: { path }, body: { title: "" } });
  assert(untitled.error && typeof untitled.error.detail !== "string");
  const item: Schemas["PlainFieldError"] | undefined = untitled.error.detail[0];
  assert.deepEqual(item?.loc, ["body", "title"]);
}

async function service(): Promise<void> {
  assert.equal(ok(await stranger.GET("/health")).status, "healthy");
  assert.equal(ok(await stranger.GET("/health/ready")).status, "ready");
  assert.equal(ok(await stranger.GET("/plain/health")).status, "healthy");
  const path = { user_id: user_id! };
  for (const route of ["/api/{user_id}", "/plain/api/{user_id}"] as const) {
    assert.equal((await client.DELETE(route, { params: { path } })).response.status, 204);
  }

  const { paths: described } = (await (await fetch(`${baseUrl}/openapi.json`)).json()) as { paths: object };
  const operations = Object.entries(described).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  assert.deepEqual([...called].sort(), operations.sort());
}

await envelope();
await plain();
await service();
console.log(`openapi-typescript with openapi-fetch: ${called.size} operations`);
