// Runs replicas against the API, and compares them with the list task by task.

import assert from "node:assert/strict";
import { createHmac, randomInt, randomUUID } from "node:crypto";
import { test } from "node:test";
import { Replica, type Fields, type Rejection, type State, type Task } from "./replica.js";

const { TASK_API_URL: baseUrl, TASK_API_SECRET: secret } = process.env;
assert(baseUrl && secret);

function token(sub: string): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const content = `${encode({ alg: "HS256" })}.${encode({ sub, exp: Math.floor(Date.now() / 1000) + 3600 })}`;
  return `${content}.${createHmac("sha256", secret!).update(content).digest("base64url")}`;
}

/** A device of a user: a replica whose connection can fail, with its state saved as text. */
class Device {
  /** What happens to the next requests. */
  connection: "works" | "is cut before" | "is cut after" = "works";
  saved = "";
  replica: Replica;

  constructor(readonly user: User) {
    this.replica = this.start();
  }
  /** Restarts the program with the saved state. */
  start(): Replica {
    const state: State | undefined = this.saved ? JSON.parse(this.saved) : undefined;
    const save = (state: State) => (this.saved = JSON.stringify(state));
    const options = { baseUrl: baseUrl!, headers: this.user.headers, fetch: this.fetch };
    return (this.replica = new Replica(options, this.user.id, state, save));
  }
  fetch = async (request: Request): Promise<Response> => {
    if (this.connection === "is cut before") throw new TypeError("offline");
    const response = await fetch(request);
    if (this.connection === "is cut after") throw new TypeError("offline");
    return response;
  };
  /** Syncs with a connection that works. */
  async sync(): Promise<Rejection[]> {
    this.connection = "works";
    return this.replica.sync();
  }
}

/** A user with a front end that is always online. */
class User {
  readonly id = `replica-${randomUUID()}`;
  readonly headers = { Authorization: `Bearer ${token(this.id)}` };

  async request(method: string, path: string, body?: object): Promise<any> {
    const headers = { ...this.headers, "Content-Type": "application/json" };
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
    const response = await fetch(`${baseUrl}/api/${this.id}${path}`, init);
    assert(response.ok, `${method} ${path}: ${response.status}`);
    return response.status === 204 ? undefined : ((await response.json()) as any).data;
  }
  create = (title: string): Promise<Task> => this.request("POST", "/tasks", { title });
  edit = (id: string, fields: Fields): Promise<Task> => this.request("PATCH", `/tasks/${id}`, fields);
  delete = (id: string): Promise<void> => this.request("DELETE", `/tasks/${id}`);
  async list(): Promise<Record<string, Task>> {
    const tasks: Record<string, Task> = {};
    for (let query = "?limit=100"; query;) {
      const { items, pagination } = await this.request("GET", `/tasks${query}`);
      for (const task of items) tasks[task.id] = task;
      query = pagination.next_cursor && `?limit=100&cursor=${encodeURIComponent(pagination.next_cursor)}`;
    }
    return tasks;
  }
  /** Compares a replica with the list. */
  async compare({ replica }: Device): Promise<void> {
    assert.deepEqual(replica.state.queue, []);
    assert.deepEqual(replica.tasks, await this.list());
  }
}

test("more changes than a response holds are all read", async () => {
  const user = new User();
  const tasks = await Promise.all(Array.from({ length: 105 }, (_, number) => user.create(`Task ${number}`)));
  const device = await synced(new Device(user));
  await user.compare(device);
  await Promise.all(tasks.slice(1).map(({ id }) => user.delete(id)));
  await device.sync();
  await user.compare(device);
  assert.deepEqual(Object.keys(device.replica.tasks), [tasks[0]!.id]);
});

test("changes made offline are sent in order, also after a restart of the program", async () => {
  const user = new User();
  const device = new Device(user);
  const old = await user.create("Old");
  await device.sync();
  device.connection = "is cut before";
  const id = device.replica.create({ title: "New", due_date: "2026-12-24", priority: "high", tags: "a,b" });
  device.replica.edit(id, { title: "Newer" });
  device.replica.edit(id, { completed: true });
  device.replica.edit(id, { title: "Newest", description: "…" });
  device.replica.delete(old.id);
  await assert.rejects(device.replica.sync());
  const expected = device.replica.tasks;
  assert.deepEqual(titles(device), ["Newest"]);

  device.start();
  assert.deepEqual(device.replica.tasks, expected);
  assert.deepEqual(await device.sync(), []);
  await user.compare(device);
  const [task] = Object.values(device.replica.tasks);
  assert.deepEqual([task?.title, task?.description, task?.completed], ["Newest", "…", true]);
});

test("writes whose responses are lost are carried out once", async () => {
  const user = new User();
  const device = new Device(user);
  const first = await user.create("First");
  await device.sync();
  device.replica.create({ title: "Second" });
  device.replica.edit(first.id, { completed: true });
  device.replica.delete(first.id);
  const keys = new Set<string>();
  const { fetch } = device;
  device.fetch = async (request) => {
    const response = await fetch(request);
    const key = request.headers.get("idempotency-key");
    if (!key || keys.has(key)) return response;
    keys.add(key);
    throw new TypeError("offline");
  };
  for (let lost = 1; lost <= 3; lost++) {
    device.start();
    await assert.rejects(device.replica.sync());
    assert.equal(keys.size, lost);
  }
  assert.deepEqual(await device.sync(), []);
  await user.compare(device);
  assert.deepEqual(titles(device), ["Second"]);
});

test("an edit does not overwrite one made elsewhere meanwhile, unless the user says so", async () => {
  const user = new User();
  const device = new Device(user);
  const { id } = await user.create("Buy milk");
  await device.sync();
  device.replica.edit(id, { title: "Buy soy milk" });
  await user.edit(id, { title: "Buy oat milk" });
  const [rejection, ...others] = await device.sync();
  assert.deepEqual([rejection?.status, rejection?.theirs?.title, others], [412, "Buy oat milk", []]);
  await user.compare(device);
  assert.equal(device.replica.tasks[id]?.title, "Buy oat milk");
  device.replica.keepMine(rejection!);
  assert.deepEqual(await device.sync(), []);
  await user.compare(device);
  assert.equal(device.replica.tasks[id]?.title, "Buy soy milk");

  // Edits of different fields don't conflict. Deleting a task that has changed does.
  device.replica.edit(id, { completed: true });
  await user.edit(id, { description: "2 litres" });
  assert.deepEqual(await device.sync(), []);
  await user.compare(device);
  device.replica.delete(id);
  await user.edit(id, { description: "3 litres" });
  assert.deepEqual(
    (await device.sync()).map(({ status }) => status),
    [412],
  );
  device.replica.edit(id, { title: "Too late" });
  await user.delete(id);
  assert.deepEqual(
    (await device.sync()).map(({ status }) => status),
    [404],
  );
  await user.compare(device);
});

test("If-Match detects an edit between comparing and writing", async () => {
  const user = new User();
  const device = new Device(user);
  const { id } = await user.create("Buy milk");
  await device.sync();
  const statuses: number[] = [];
  const { fetch } = device;
  device.fetch = async (request) => {
    if (request.method === "PATCH" && !statuses.length) await user.edit(id, { title: "Buy oat milk" });
    const response = await fetch(request);
    if (request.method === "PATCH") statuses.push(response.status);
    return response;
  };
  device.start();
  device.replica.edit(id, { title: "Buy soy milk" });
  const [rejection] = await device.sync();
  assert.deepEqual([rejection?.status, rejection?.theirs?.title], [412, "Buy oat milk"]);
  assert.deepEqual(statuses, [412]);
  await user.compare(device);
});

test("with an expired cursor, the copy starts again and drops tasks that are not in it", async () => {
  const user = new User();
  const device = new Device(user);
  await user.create("Erased");
  await device.sync();
  await user.request("DELETE", "");
  await user.create("After");
  device.replica.create({ title: "Made offline" });
  assert.deepEqual(await device.sync(), []);
  await user.compare(device);
  assert.deepEqual(titles(device), ["After", "Made offline"]);
});

const seeds = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: 5 }, () => randomInt(2 ** 31));
for (const seed of seeds) {
  test(`three devices and a front end at random, SEED=${seed}`, async () => {
    const random = generator(seed);
    const user = new User();
    const devices = [new Device(user), new Device(user), new Device(user)];
    const pick = <T>(items: T[]): T | undefined => items[Math.floor(random() * items.length)];
    for (let step = 0; step < 150; step++) {
      const device = pick(devices)!;
      const { replica } = device;
      const id = pick(Object.keys(replica.tasks));
      const chance = random();
      if (chance < 0.25 || !id) replica.create({ title: `Task ${step}` });
      else if (chance < 0.45) replica.edit(id, { title: `${replica.tasks[id]!.title}+` });
      else if (chance < 0.6) replica.edit(id, { completed: random() < 0.5 });
      else if (chance < 0.65) replica.delete(id);
      else if (chance < 0.8) await elsewhere(user, random);
      else {
        device.connection = pick(["works", "works", "is cut before", "is cut after"])!;
        const syncing = replica.sync().then((rejections) => keep(device, rejections));
        await (device.connection === "works" ? syncing : assert.rejects(syncing));
        if (random() < 0.3) device.start();
      }
    }
    // Twice, because the first device has not yet seen what the others sent after it.
    for (const device of [...devices, ...devices]) keep(device, await device.sync());
    for (const device of [...devices, ...devices]) await device.sync();
    for (const device of devices) await user.compare(device);
    // No task was created twice.
    const originals = titles(devices[0]!).map((title) => title.replace(/\++$/, ""));
    assert.equal(new Set(originals).size, originals.length);
  });
}

/** Repeats every rejected write whose task still exists. */
function keep({ replica }: Device, rejections: Rejection[]): void {
  for (const rejection of rejections) {
    if (rejection.theirs && replica.tasks[rejection.theirs.id]) replica.keepMine(rejection);
  }
}

const titles = ({ replica }: Device): string[] =>
  Object.values(replica.tasks)
    .map(({ title }) => title)
    .sort();

async function elsewhere(user: User, random: () => number): Promise<void> {
  const tasks = Object.values(await user.list());
  const task = tasks[Math.floor(random() * tasks.length)];
  if (!task || random() < 0.3) await user.create(`Elsewhere ${random()}`);
  else if (random() < 0.8) await user.edit(task.id, { title: `${task.title}+` });
  else await user.delete(task.id);
}

async function synced(device: Device): Promise<Device> {
  await device.sync();
  return device;
}

/** A generator of numbers from 0 to 1 that depend only on the seed (mulberry32). */
function generator(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
