// An offline-first copy of a user's tasks. It can be read and changed without a connection. Changes wait in a
// queue, each with an idempotency key, so that they can be sent again if the response is lost. `sync` sends
// the queue, and then reads what else has changed from the changes feed.

import createClient, { type ClientOptions } from "openapi-fetch";
import type { components, paths } from "./node_modules/.client/openapi.js";

export type Task = components["schemas"]["EnvelopeTask"];
/** The fields as the API sends them. */
export type Fields = Partial<Pick<Task, (typeof FIELDS)[number]>>;

export interface Write {
  kind: "create" | "edit" | "delete";
  /** The idempotency key. */
  key: string;
  /** The task as the user saw it. Until a new task has been sent, its id is the key of its create. */
  task: Task;
  fields: Fields;
  /** The version of the task that has been compared with what the user saw, and may be changed. */
  etag?: string;
}

/** A write that was not carried out, and why. */
export interface Rejection {
  write: Write;
  status: number;
  /** The task as it is now, if it was changed elsewhere. */
  theirs?: Task;
}

/** Everything to persist. It can be stored as JSON. */
export interface State {
  tasks: Record<string, Task>;
  queue: Write[];
  cursor?: string;
}

const FIELDS = ["title", "description", "due_date", "priority", "tags", "completed"] as const;

export class Replica {
  #client;
  #running: Promise<Rejection[]> | undefined;

  /** `save` is called with every new state, before any request that depends on it is sent. */
  constructor(
    options: ClientOptions,
    readonly userId: string,
    public state: State = { tasks: {}, queue: [] },
    readonly save: (state: State) => void = () => {},
  ) {
    this.#client = createClient<paths>(options);
  }

  /** The tasks by id, as they will be once the queue has been sent. */
  get tasks(): Record<string, Task> {
    const tasks = { ...this.state.tasks };
    for (const { kind, task, fields } of this.state.queue) {
      if (kind === "delete") delete tasks[task.id];
      else if (kind === "create" || tasks[task.id]) tasks[task.id] = { ...(tasks[task.id] ?? task), ...fields };
    }
    return tasks;
  }

  create(fields: Fields & { title: string }): string {
    const now = new Date().toISOString();
    const times = { created_at: now, updated_at: now, completed_at: null };
    const key = crypto.randomUUID();
    const unset = { description: null, due_date: null, priority: "medium", tags: null, completed: false } as const;
    const task = { id: key, user_id: this.userId, ...unset, ...fields, ...times };
    return this.#enqueue({ kind: "create", key, task, fields });
  }

  edit(id: string, fields: Fields): void {
    this.#enqueue({ kind: "edit", key: crypto.randomUUID(), task: this.tasks[id]!, fields });
  }

  delete(id: string): void {
    this.#enqueue({ kind: "delete", key: crypto.randomUUID(), task: this.tasks[id]!, fields: {} });
  }

  /** Repeats a rejected write on the task as it is now. */
  keepMine({ write: { kind, fields }, theirs }: Rejection): void {
    this.#enqueue({ kind, key: crypto.randomUUID(), task: theirs!, fields });
  }

  /**
   * Sends the queue, then reads the changes. Throws if the API can't be reached; what was done until then is
   * kept.
   */
  sync(): Promise<Rejection[]> {
    return (this.#running ??= this.#sync().finally(() => (this.#running = undefined)));
  }

  async #sync(): Promise<Rejection[]> {
    const rejections: Rejection[] = [];
    for (let write; (write = this.state.queue[0]);) {
      const rejection = await this.#send(write);
      if (rejection) rejections.push(rejection);
    }
    await this.#follow();
    return rejections;
  }

  #enqueue(write: Write): string {
    this.#commit({ queue: [...this.state.queue, write] });
    return write.task.id;
  }

  #commit(changes: Partial<State>): void {
    this.state = { ...this.state, ...changes };
    this.save(this.state);
  }

  /** Sends the first write of the queue. */
  async #send(write: Write): Promise<Rejection | undefined> {
    const path = { user_id: this.userId, task_id: write.task.id };
    if (write.kind !== "create" && !write.etag) {
      const current = await this.#client.GET("/api/{user_id}/tasks/{task_id}", { params: { path } });
      check(current.response);
      if (!current.data) return this.#done(write, { write, status: current.response.status });
      const theirs = current.data.data;
      // A change made elsewhere is a conflict if it affects the same fields, and is not the same change.
      const names = write.kind === "delete" ? FIELDS : FIELDS.filter((name) => name in write.fields);
      const unseen = (name: (typeof FIELDS)[number]) =>
        theirs[name] !== write.task[name] && theirs[name] !== write.fields[name];
      if (names.some(unseen)) return this.#done(write, { write, status: 412, theirs });
      write.etag = current.response.headers.get("etag")!;
      this.#commit({});
    }
    const header = { "Idempotency-Key": write.key, ...(write.etag && { "If-Match": write.etag }) };
    const params = { path, header };
    const { data, response } =
      write.kind === "create"
        ? await this.#client.POST("/api/{user_id}/tasks", { params, body: write.fields as Task })
        : write.kind === "edit"
          ? await this.#client.PATCH("/api/{user_id}/tasks/{task_id}", { params, body: write.fields })
          : await this.#client.DELETE("/api/{user_id}/tasks/{task_id}", { params });
    check(response);
    if (response.status === 412) {
      // The task was changed since it was compared: compare again.
      delete write.etag;
      return;
    }
    if (!response.ok) return this.#done(write, { write, status: response.status });
    this.#done(write, undefined, data?.data);
    return;
  }

  /** Removes a write from the queue and applies its result to the copy. */
  #done(write: Write, rejection?: Rejection, result?: Task): Rejection | undefined {
    const tasks = { ...this.state.tasks };
    if (!rejection && write.kind === "delete") delete tasks[write.task.id];
    if (result) tasks[result.id] = result;
    // Later writes to a new task get its id.
    const rename = (later: Write) =>
      result && later.task.id === write.task.id ? { ...later, task: { ...later.task, id: result.id } } : later;
    this.#commit({ tasks, queue: this.state.queue.slice(1).map(rename) });
    return rejection;
  }

  /** Reads all changes since the last sync. */
  async #follow(): Promise<void> {
    const path = { user_id: this.userId };
    let { cursor, tasks } = this.state;
    tasks = { ...tasks };
    for (let hasMore = true; hasMore;) {
      const params = { path, query: cursor ? { since: cursor } : {} };
      const { data, response } = await this.#client.GET("/api/{user_id}/tasks/changes", { params });
      if (response.status === 410) {
        // The cursor is too old: start a full copy, and drop the tasks that it does not contain.
        cursor = undefined;
        tasks = {};
        continue;
      }
      if (!data) throw new Error(`changes: ${response.status}`);
      for (const task of data.data.changed) tasks[task.id] = task;
      for (const id of data.data.deleted) delete tasks[id];
      cursor = data.data.cursor;
      hasMore = data.data.has_more;
    }
    this.#commit({ tasks, cursor: cursor! });
  }
}

/** Throws if the same request could succeed later. */
function check({ status }: Response): void {
  if (status === 401 || status === 429 || status >= 500) throw new Error(`not now: ${status}`);
}
