import { keepPreviousData, onlineManager, useInfiniteQuery } from "@tanstack/react-query";
import { useDeferredValue, useState, useSyncExternalStore } from "react";
import { api, ok, type Task } from "./api";
import { Failures } from "./Failures";
import { TaskForm } from "./TaskForm";
import { TaskRow } from "./TaskRow";
import { usePendingWrites, useTrouble, useWrite, withWrites, type Fields } from "./writes";

const STATUSES = { all: "All", pending: "Open", completed: "Done" } as const;
type Status = keyof typeof STATUSES;

/** Loads the user's tasks page by page. The browser adds If-None-Match, so an unchanged page is a 304. */
function useTasks(user_id: string, status: Status, search: string) {
  return useInfiniteQuery({
    queryKey: ["tasks", user_id, status, search],
    queryFn: async ({ pageParam: cursor, signal }) => {
      const query = { status, limit: 50, ...(search && { search }), ...(cursor && { cursor }) };
      return (await ok(api.GET("/api/{user_id}/tasks", { params: { path: { user_id }, query }, signal }))).data.data;
    },
    initialPageParam: "",
    getNextPageParam: ({ pagination }) => pagination.next_cursor,
    placeholderData: keepPreviousData,
    refetchInterval: 5_000,
  });
}

export function Tasks({ userId }: { userId: string }) {
  const [status, setStatus] = useState<Status>("all");
  const [search, setSearch] = useState("");
  const tasks = useTasks(userId, status, useDeferredValue(search));
  const pending = usePendingWrites();
  const trouble = useTrouble() ?? tasks.failureReason ?? tasks.error;
  const write = useWrite();
  const isOnline = useSyncExternalStore(
    (listener) => onlineManager.subscribe(listener),
    () => onlineManager.isOnline(),
  );

  function create(fields: Fields) {
    const key = crypto.randomUUID();
    const now = new Date().toISOString();
    const task: Task = {
      id: key,
      user_id: userId,
      ...fields,
      completed: false,
      completed_at: null,
      created_at: now,
      updated_at: now,
    };
    write({ kind: "create", key, task, fields });
  }

  const shown = withWrites(tasks.data?.pages.flatMap((page) => page.items) ?? [], pending);
  return (
    <main>
      <p role="status" className="banner">
        {isOnline
          ? trouble && `${trouble.message}. Trying again…`
          : `Offline. ${pending.length === 1 ? "1 change" : `${pending.length} changes`} will be sent later.`}
      </p>
      <TaskForm label="New task" submit="Add" onSubmit={create} />
      <Failures />
      <search className="filters">
        <fieldset>
          <legend className="hidden">Show</legend>
          {(Object.keys(STATUSES) as Status[]).map((value) => (
            <label key={value}>
              <input type="radio" name="status" checked={status === value} onChange={() => setStatus(value)} />
              {STATUSES[value]}
            </label>
          ))}
        </fieldset>
        <input
          type="search"
          aria-label="Search"
          placeholder="Search"
          maxLength={200}
          value={search}
          onChange={(event) => setSearch(event.target.value)}
        />
      </search>
      <ul id="tasks" tabIndex={-1} aria-label="Tasks">
        {shown.map((task) => (
          <TaskRow
            key={task.id}
            task={task}
            pending={pending.filter((write) => write.task.id === task.id)}
          />
        ))}
      </ul>
      {tasks.isSuccess && shown.length === 0 && (
        <p className="empty">{search || status !== "all" ? "No task matches." : "No tasks."}</p>
      )}
      {tasks.hasNextPage && <button onClick={() => tasks.fetchNextPage()}>Show more</button>}
    </main>
  );
}
