// Writes go through one queue, which TanStack Query keeps: in order, one at a time, shown before they are carried out,
// paused while offline, retried under their idempotency key until the API has answered, kept over a reload.
import { notifyManager, QueryClient, useMutation, useMutationState } from "@tanstack/react-query";
import { api, ok, readTask, type Problem, type Task } from "./api";

export interface Fields {
  title: string;
  description: string | null;
  due_date: string | null;
}

export interface Write {
  kind: "create" | "edit" | "complete" | "delete";
  /** The idempotency key. */
  key: string;
  /** The task as the user saw it; for a create, as it will look. */
  task: Task;
  /** What to change. */
  fields: Partial<Fields & Pick<Task, "completed">>;
  /** The ETag of `task`, if it is known. */
  etag?: string;
}

export interface Failure {
  write: Write;
  problem: Problem;
}

declare module "@tanstack/react-query" {
  interface Register {
    defaultError: Problem;
  }
}

// A click shows at once, before the browser paints again.
notifyManager.setScheduler(queueMicrotask);

const KEY = ["write"];

/** Whether the same request may succeed later. After a 401 the next attempt has a new token. */
const isTransient = (failures: number, { status }: Problem) =>
  [0, 429, 502, 503, 504].includes(status) || (status === 401 && failures === 0);

const delay = (failures: number, { retryAfter }: Problem) => (retryAfter ?? Math.min(2 ** failures, 30)) * 1000;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: (failures, problem) => failures < 3 && isTransient(failures, problem), retryDelay: delay },
  },
});
queryClient.setMutationDefaults(KEY, {
  mutationFn: send,
  scope: { id: "writes" },
  retry: isTransient,
  retryDelay: delay,
  gcTime: Infinity,
  // A write counts as pending until the list shows it.
  onSettled: () => queryClient.invalidateQueries(),
});

async function send(write: Write) {
  const { key, task, fields } = write;
  const params = { path: { user_id: task.user_id, task_id: task.id }, header: { "Idempotency-Key": key } };
  switch (write.kind) {
    case "create":
      return ok(api.POST("/api/{user_id}/tasks", { params, body: fields as Fields }));
    case "edit":
      return edit(write);
    case "complete":
      return ok(
        api.PATCH("/api/{user_id}/tasks/{task_id}/complete", { params, body: { completed: fields.completed! } }),
      );
    case "delete":
      return ok(api.DELETE("/api/{user_id}/tasks/{task_id}", { params }));
  }
}

/** Changes a task unless somebody else has changed it since the user saw it. */
async function edit({ key, task, fields, etag }: Write) {
  if (!etag) {
    // Edited offline, so all that is known is what the user saw.
    const current = await readTask(task);
    const names = Object.keys(fields) as (keyof Fields)[];
    const isUnseen = (name: keyof Fields) => ![task[name], fields[name]].includes(current.task[name]);
    if (names.some(isUnseen)) throw conflict(current);
    etag = current.etag;
  }
  const params = {
    path: { user_id: task.user_id, task_id: task.id },
    header: { "Idempotency-Key": key, "If-Match": etag },
  };
  return ok(api.PATCH("/api/{user_id}/tasks/{task_id}", { params, body: fields })).catch(async (problem: Problem) => {
    throw problem.status === 412 ? conflict(await readTask(task)) : problem;
  });
}

const conflict = (theirs: Problem["theirs"]): Problem => ({
  status: 412,
  message: "This task was changed elsewhere",
  details: {},
  theirs,
});

/** The fields that differ from the task's. */
export function changed(task: Task, fields: Fields): Partial<Fields> {
  // The form knows days only.
  const isSame = (name: string, value: string | null) =>
    name === "due_date" ? value?.slice(0, 10) === task.due_date?.slice(0, 10) : value === task[name as keyof Fields];
  return Object.fromEntries(Object.entries(fields).filter(([name, value]) => !isSame(name, value)));
}

/** The list as it will be once these writes are carried out. */
export function withWrites(tasks: Task[], writes: Write[]): Task[] {
  return writes.reduce((list, { kind, task, fields }) => {
    if (kind === "create") return [task, ...list];
    if (kind === "delete") return list.filter(({ id }) => id !== task.id);
    return list.map((listed) => (listed.id === task.id ? { ...listed, ...fields } : listed));
  }, tasks);
}

export const useWrite = () => useMutation<unknown, Problem, Write>({ mutationKey: KEY }).mutate;

export const usePendingWrites = () =>
  useMutationState({
    filters: { mutationKey: KEY, status: "pending" },
    select: ({ state }) => state.variables as Write,
  });

/** Why the first write in the queue is retried. */
export const useTrouble = () =>
  useMutationState({
    filters: { mutationKey: KEY, status: "pending" },
    select: ({ state }) => state.failureReason as Problem | null,
  }).find(Boolean);

export const useFailures = () =>
  useMutationState({
    filters: { mutationKey: KEY, status: "error" },
    select: ({ state }): Failure => ({ write: state.variables as Write, problem: state.error as Problem }),
  });

/** Forgets a write that failed. */
export function dismiss({ write }: Failure) {
  forget(({ key }) => key === write.key);
}

/** Forgets what another user has left in this tab. */
export function forgetOthers(userId: string) {
  forget(({ task }) => task.user_id !== userId);
}

function forget(isForgotten: (write: Write) => boolean) {
  const cache = queryClient.getMutationCache();
  cache
    .findAll({ mutationKey: KEY, predicate: ({ state }) => isForgotten(state.variables as Write) })
    .forEach((mutation) => cache.remove(mutation));
}
