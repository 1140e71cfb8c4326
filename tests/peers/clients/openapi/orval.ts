// Calls every operation on tasks through orval's client, and checks the types of the bodies.

import assert from "node:assert/strict";
import * as api from "./generated/orval/index.js";

const { TASK_API_USER: user_id, TASK_API_TOKEN: token } = process.env;
assert(user_id && token);
const options = { headers: { Authorization: `Bearer ${token}` } };

/** Returns the data of a response with the status 200. */
function ok<R extends { status: number; data: unknown }>(response: R) {
  assert.equal(response.status, 200);
  return response.data as Extract<R, { status: 200 }>["data"];
}

async function envelope(user_id: string): Promise<void> {
  const created = await api.createTask(user_id, { title: "Buy milk", due_date: "2026-12-24" }, options);
  assert(created.status === 201);
  const task: api.EnvelopeTask = created.data.data;
  assert.deepEqual(ok(await api.getTask(user_id, task.id, options)).data, task);
  assert.equal(ok(await api.listTasks(user_id, { limit: 1 }, options)).data.items[0]?.id, task.id);
  assert.equal(ok(await api.listChanges(user_id, undefined, options)).data.changed.at(-1)?.id, task.id);
  await api.createTask(user_id, { title: "Buy bread" }, options);
  const ids: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null;) {
    const query = { limit: 1, ...(cursor && { cursor }) };
    const { items, pagination } = ok(await api.listTasks(user_id, query, options)).data;
    ids.push(...items.map(({ id }) => id));
    cursor = pagination.next_cursor;
  }
  assert.equal(ids.indexOf(task.id), 1);
  const conditional = { headers: { ...options.headers, "If-Match": created.headers.get("etag")! } };
  assert.equal(ok(await api.patchTask(user_id, task.id, { title: "Buy soy milk" }, conditional)).data.title, "Buy soy milk");
  const late = await api.patchTask(user_id, task.id, { title: "Buy rice milk" }, conditional);
  assert(late.status === 412 && late.data.error.code === "PRECONDITION_FAILED");
  assert.equal(ok(await api.updateTask(user_id, task.id, { title: "Buy oat milk" }, options)).data.due_date, null);
  assert.equal(ok(await api.patchTask(user_id, task.id, { description: "2 l" }, options)).data.description, "2 l");
  assert.equal(ok(await api.completeTask(user_id, task.id, { completed: true }, options)).data.completed, true);
  assert.equal((await api.deleteTask(user_id, task.id, options)).status, 204);

  const untitled = await api.createTask(user_id, { title: "" }, options);
  assert(untitled.status === 422);
  assert.equal(untitled.data.error.details.title?.length, 1);
}

async function plain(user_id: string): Promise<void> {
  const created = await api.plainCreateTask(user_id, { title: "Walk the dog" }, options);
  assert(created.status === 201);
  const task: api.PlainTask = created.data;
  assert.deepEqual(ok(await api.plainGetTask(user_id, task.id, options)), task);
  assert.deepEqual(ok(await api.plainListTasks(user_id, undefined, options)).at(-1), task);
  assert.equal(ok(await api.plainListChanges(user_id, undefined, options)).changed.at(-1)?.id, task.id);
  assert.equal(ok(await api.plainUpdateTask(user_id, task.id, { description: "now" }, options)).title, "Walk the dog");
  assert.equal(ok(await api.plainPatchTask(user_id, task.id, { description: null }, options)).description, null);
  assert.equal(ok(await api.plainCompleteTask(user_id, task.id, options)).completed, true);
  assert.equal((await api.plainDeleteTask(user_id, task.id, options)).status, 204);

  const untitled = await api.plainCreateTask(user_id, { title: "" }, options);
  assert(untitled.status === 422);
  const item: api.PlainFieldError | undefined = untitled.data.detail[0];
  assert.deepEqual(item?.loc, ["body", "title"]);
}

await envelope(user_id);
await plain(user_id);
assert.equal(ok(await api.getHealth()).status, "healthy");
console.log("orval: both contracts");
