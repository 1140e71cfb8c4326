// Calls every operation on tasks through the client of @hey-api/openapi-ts, and checks the types of the
// bodies.

import assert from "node:assert/strict";
import { client } from "./generated/hey-api/client.gen.js";
import * as api from "./generated/hey-api/index.js";

const { TASK_API_URL: baseUrl, TASK_API_USER: user_id, TASK_API_TOKEN: token } = process.env;
assert(baseUrl && user_id && token);
client.setConfig({ baseUrl, auth: token });

async function envelope(path: { user_id: string }): Promise<void> {
  const created = await api.createTask({ path, body: { title: "Buy milk", due_date: "2026-12-24" }, throwOnError: true });
  const task: api.EnvelopeTask = created.data.data;
  const one = { path: { ...path, task_id: task.id }, throwOnError: true } as const;
  assert.deepEqual((await api.getTask(one)).data.data, task);
  const list = await api.listTasks({ path, query: { limit: 1 }, throwOnError: true });
  assert.equal(list.data.data.items[0]?.id, task.id);
  const changes = await api.listChanges({ path, throwOnError: true });
  assert.equal(changes.data.data.changed.at(-1)?.id, task.id);
  await api.createTask({ path, body: { title: "Buy bread" }, throwOnError: true });
  const ids: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null;) {
    const query = { limit: 1, ...(cursor && { cursor }) };
    const { items, pagination } = (await api.listTasks({ path, query, throwOnError: true })).data.data;
    ids.push(...items.map(({ id }) => id));
    cursor = pagination.next_cursor;
  }
  assert.equal(ids.indexOf(task.id), 1);
  const headers = { "If-Match": created.response.headers.get("etag")! };
  const edit = { path: one.path, headers, body: { title: "Buy soy milk" } };
  assert.equal((await api.patchTask(edit)).data?.data.title, "Buy soy milk");
  const late = await api.patchTask(edit);
  assert(late.response?.status === 412 && late.error?.error.code === "PRECONDITION_FAILED");
  assert.equal((await api.updateTask({ ...one, body: { title: "Buy oat milk" } })).data.data.due_date, null);
  assert.equal((await api.patchTask({ ...one, body: { description: "2 l" } })).data.data.description, "2 l");
  assert.equal((await api.completeTask({ ...one, body: { completed: true } })).data.data.completed, true);
  const tag = (await api.getTask(one)).response.headers.get("etag");
  assert.equal((await api.deleteTask({ ...one, headers: { "If-Match": tag! } })).response.status, 204);

  const untitled = await api.createTask({ path, body: { title: "" } });
  assert(untitled.error?.error.code === "VALIDATION_ERROR");
  assert.equal(untitled.error.error.details.title?.length, 1);
}

async function plain(path: { user_id: string }): Promise<void> {
  const created = await api.plainCreateTask({ path, body: { title: "Walk the dog" }, throwOnError: true });
  const task: api.PlainTask = created.data;
  const one = { path: { ...path, task_id: task.id }, throwOnError: true } as const;
  assert.deepEqual((await api.plainGetTask(one)).data, task);
  const list: api.PlainTaskList = (await api.plainListTasks({ path, throwOnError: true })).data;
  assert.deepEqual(list.at(-1), task);
  const changes: api.PlainChanges = (await api.plainListChanges({ path, throwOnError: true })).data;
  assert.equal(changes.changed.at(-1)?.id, task.id);
  assert.equal((await api.plainUpdateTask({ ...one, body: { description: "now" } })).data.title, "Walk the dog");
  assert.equal((await api.plainPatchTask({ ...one, body: { description: null } })).data.description, null);
  assert.equal((await api.plainCompleteTask(one)).data.completed, true);
  assert.equal((await api.plainDeleteTask(one)).response.status, 204);

  const untitled = await api.plainCreateTask({ path, body: { title: "" } });
  assert(untitled.error && typeof untitled.error.detail !== "string");
  const item: api.PlainFieldError | undefined = untitled.error.detail[0];
  assert.deepEqual(item?.loc, ["body", "title"]);
}

await envelope({ user_id });
await plain({ user_id });
assert.equal((await api.getHealth({ throwOnError: true })).data.status, "healthy");
assert.equal((await api.getReadiness({ throwOnError: true })).data.status, "ready");
console.log("@hey-api/openapi-ts: both contracts");
