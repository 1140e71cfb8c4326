// Calls every operation on tasks through orval's client, and checks the types of the bodies.

import assert from "node:assert/strict";
import * as api from "./generated/orval/index.js";

const { TASK_API_USER: user_id, TASK_API_TOKEN: token } = process.env;
assert(user_id && token);
const options = { headers: { Authorization: `Bearer ${token}` } };

async function envelope(user_id: string): Promise<void> {
  const created = await api.createTask(user_id, { title: "Buy milk", due_date: "2026-12-24" }, options);
  assert(created.status === 201);
  const task: api.EnvelopeTask = created.data.data;
  const got = await api.getTask(user_id, task.id, options);
  assert(got.status === 200);
  assert.deepEqual(got.data.data, task);
  const list = await api.listTasks(user_id, { limit: 1 }, options);
  assert(list.status === 200);
  assert.equal(list.data.data.items[0]?.id, task.id);
  const changes = await api.listChanges(user_id, undefined, options);
  assert(changes.status === 200);
  assert.equal(changes.data.data.changed.at(-1)?.id, task.id);
  const replaced = await api.updateTask(user_id, task.id, { title: "Buy oat milk" }, options);
  assert(replaced.status === 200);
  assert.equal(replaced.data.data.due_date, null);
  const patched = await api.patchTask(user_id, task.id, { description: "2 l" }, options);
  assert(patched.status === 200);
  assert.equal(patched.data.data.description, "2 l");
  const completed = await api.completeTask(user_id, task.id, { completed: true }, options);
  assert(completed.status === 200);
  assert.equal(completed.data.data.completed, true);
  assert.equal((await api.deleteTask(user_id, task.id, options)).status, 204);

  const untitled = await api.createTask(user_id, { title: "" }, options);
  assert(untitled.status === 422);
  assert.equal(untitled.data.error.details.title?.length, 1);
}

async function plain(user_id: string): Promise<void> {
  const created = await api.plainCreateTask(user_id, { title: "Walk the dog" }, options);
  assert(created.status === 201);
  const task: api.PlainTask = created.data;
  const got = await api.plainGetTask(user_id, task.id, options);
  assert(got.status === 200);
  assert.deepEqual(got.data, task);
  const list = await api.plainListTasks(user_id, undefined, options);
  assert(list.status === 200);
  assert.deepEqual(list.data.at(-1), task);
  const changes = await api.plainListChanges(user_id, undefined, options);
  assert(changes.status === 200);
  assert.equal(changes.data.changed.at(-1)?.id, task.id);
  const updated = await api.plainUpdateTask(user_id, task.id, { description: "now" }, options);
  assert(updated.status === 200);
  assert.equal(updated.data.title, "Walk the dog");
  const patched = await api.plainPatchTask(user_id, task.id, { description: null }, options);
  assert(patched.status === 200);
  assert.equal(patched.data.description, null);
  const completed = await api.plainCompleteTask(user_id, task.id, options);
  assert(completed.status === 200);
  assert.equal(completed.data.completed, true);
  assert.equal((await api.plainDeleteTask(user_id, task.id, options)).status, 204);

  const untitled = await api.plainCreateTask(user_id, { title: "" }, options);
  assert(untitled.status === 422);
  const item: api.PlainFieldError | undefined = untitled.data.detail[0];
  assert.deepEqual(item?.loc, ["body", "title"]);
}

await envelope(user_id);
await plain(user_id);
const health = await api.getHealth();
assert(health.status === 200 && health.data.status === "healthy");
console.log("orval: both contracts");
