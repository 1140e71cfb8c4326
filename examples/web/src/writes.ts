// All writes go through one queue, which is a scope of TanStack Query's mutations. They are sent in order,
// one at a time. The list shows them before they are carried out. The queue pauses while offline, survives a
// reload, and retries each write with its idempotency key until the API gives a definite answer.
import { notifyManager, QueryClient, useMutation, useMutationState, type MutationState } from "@tanstack/react-query";
import { api, ok, readTask, type Problem, type Task } from "./api";

export interface Fields {
  title: string;
  description: string | null;
  due_date: string | null;
  priority: Task["priority"];
  tags: string | null;
}

export interface Write {
  kind: "create" | "edit" | "complete" | "delete";
  /** The idempotency key. */
  key: string;
  /** The task as the user saw it. For a create, the task as it will look. */
  task: Task;
  /** The fields to change, with their new values. */
  fields: Partial<Fields & Pick<Task, "completed">>;
  /** The ETag of `task`, if it is known. */
  etag?: string;
}

/** A write that has not been carried out. */
export type PendingWrite = Write & { wasTried: boolean };

export interface Failure {
  write: Write;
  problem: Problem;
}

declare module "@tanstack/react-query" {
  interface Register {
    defaultError: Problem;
  }
}

// Shows the effect of a click before the next paint.
notifyManager.setScheduler(queueMicrotask);

const KEY = ["write"];

/** Whether the same request may succeed later. After a 401, the next attempt uses a new token. */
const isTransient = (failures: number, { status }: Problem) =>
  [0, 429, 502, 503, 504].includes(status) || (status === 401 && failures === 0);

const delay = (failures: number, { retryAfter }: Problem) => (retryAfter ?? Math.min(2 ** failures, 30)) * 1000;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: (failures, problem) => failures < 3 && isTransient(failures, problem), retryDelay: delay },
  },
});
queryClient.setMutationDefaults(KEY, {
  mutationFn: (write: Write) => {
    const mutation = queryClient.getMutationCache().find({ mutationKey: KEY, predicate: ({ state }) => state.variables === write });
    return send(write, Boolean(mutation?.state.failureCount));
  },
  scope: { id: "writes" },
  retry: isTransient,
  retryDelay: delay,
  gcTime: Infinity,
  // Returns the promise of the refetch, so that a write stays pending until the list contains its effect.
  onSettled: () => queryClient.invalidateQueries(),
});

// How long a deletion waits to be undone, in milliseconds.
const UNDO_TIME = 8_000;
let waiting: { key: string; end(isUndone: boolean): void } | undefined;

/** Sends the deletion that waits to be undone, if any. */
export const sendDeletion = () => waiting?.end(false);

/** Cancels a deletion, unless it has been sent. */
export function undo({ key }: Write) {
  if (waiting?.key === key) waiting.end(true);
  else forget((write, { isPaused, failureCount }) => write.key === key && isPaused && !failureCount);
}

const isUndone = (key: string) =>
  new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => end(false), UNDO_TIME);
    function end(isUndone: boolean) {
      clearTimeout(timer);
      waiting = undefined;
      resolve(isUndone);
    }
    waiting = { key, end };
  });

async function send(write: Write, wasTried: boolean) {
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
      if (!wasTried && (await isUndone(key))) return;
      return ok(api.DELETE("/api/{user_id}/tasks/{task_id}", { params }));
  }
}

/** Changes a task, unless it was changed elsewhere since the user saw it. */
async function edit({ key, task, fields, etag }: Write) {
  if (!etag) {
    // The task was edited offline, so compare the current values with those that the user saw.
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

/** Returns the day of a due date: of a time, the one where the user is. */
export const day = (due: string) => (due.length > 10 ? isoDay(new Date(due)) : due);

/** Returns a day where the user is. Swedish dates have the format of ISO 8601. */
export const isoDay = (date: Date) => date.toLocaleDateString("sv");

/** Returns the fields that differ from the task's. */
export function changed(task: Task, fields: Fields): Partial<Fields> {
  // The form has days, not times.
  const isSame = (name: string, value: string | null) =>
    name === "due_date" ? value === (task.due_date && day(task.due_date)) : value === task[name as keyof Fields];
  return Object.fromEntries(Object.entries(fields).filter(([name, value]) => !isSame(name, value)));
}

/** Returns the list as it will be once these writes have been carried out, with the tasks being deleted. */
export function withWrites(tasks: Task[], writes: Write[]): Task[] {
  return writes.reduce((list, { kind, task, fields }) => {
    if (kind === "create") return [task, ...list];
    return list.map((listed) => (listed.id === task.id ? { ...listed, ...fields } : listed));
  }, tasks);
}

export function useWrite() {
  const { mutate } = useMutation<unknown, Problem, Write>({ mutationKey: KEY });
  return (write: Write) => {
    sendDeletion();
    mutate(write);
  };
}

export const usePendingWrites = () =>
  useMutationState({
    filters: { mutationKey: KEY, status: "pending" },
    select: ({ state }): PendingWrite => ({ ...(state.variables as Write), wasTried: state.failureCount > 0 }),
  });

/** Returns the problem that makes the queue retry, if any. */
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

/** Drops a write that failed. */
export function dismiss({ write }: Failure) {
  forget(({ key }) => key === write.key);
}

/** Drops the writes that another user has left in this tab. */
export function forgetOthers(userId: string) {
  forget(({ task }) => task.user_id !== userId);
}

function forget(isForgotten: (write: Write, state: MutationState) => boolean) {
  const cache = queryClient.getMutationCache();
  cache
    .findAll({ mutationKey: KEY, predicate: ({ state }) => isForgotten(state.variables as Write, state as MutationState) })
    .forEach((mutation) => cache.remove(mutation));
}
