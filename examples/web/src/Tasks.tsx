import { keepPreviousData, onlineManager, useInfiniteQuery } from "@tanstack/react-query";
import { useDeferredValue, useState, useSyncExternalStore } from "react";
import { api, ok, type Task } from "./api";
import { Failures } from "./Failures";
import { PRIORITIES, TaskForm } from "./TaskForm";
import { TaskRow } from "./TaskRow";
import { usePendingWrites, useTrouble, useWrite, withWrites, type Fields } from "./writes";

const STATUSES = { all: "All", pending: "Open", completed: "Done" } as const;

interface Filters {
  status: keyof typeof STATUSES;
  priority: Task["priority"] | "";
  tag: string;
  search: string;
}

const NO_FILTERS: Filters = { status: "all", priority: "", tag: "", search: "" };

/** Loads the user's tasks page by page. The browser adds If-None-Match, so an unchanged page is a 304. */
function useTasks(user_id: string, { status, priority, tag, search }: Filters) {
  return useInfiniteQuery({
    queryKey: ["tasks", user_id, status, priority, tag, search],
    queryFn: async ({ pageParam: cursor, signal }) => {
      // The API rejects empty parameters.
      const set = { ...(priority && { priority }), ...(tag && { tag }), ...(search && { search }) };
      const query = { status, limit: 50, ...set, ...(cursor && { cursor }) };
      return (await ok(api.GET("/api/{user_id}/tasks", { params: { path: { user_id }, query }, signal }))).data.data;
    },
    initialPageParam: "",
    getNextPageParam: ({ pagination }) => pagination.next_cursor,
    placeholderData: keepPreviousData,
    refetchInterval: 5_000,
  });
}

export function Tasks({ userId }: { userId: string }) {
  const [filters, setFilters] = useState(NO_FILTERS);
  const change = (changes: Partial<Filters>) => setFilters({ ...filters, ...changes });
  const tasks = useTasks(userId, useDeferredValue(filters));
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
          {(Object.keys(STATUSES) as Filters["status"][]).map((value) => (
            <label key={value}>
              <input
                type="radio"
                name="status"
                checked={filters.status === value}
                onChange={() => change({ status: value })}
              />
              {STATUSES[value]}
            </label>
          ))}
        </fieldset>
        <select
          aria-label="Show priority"
          value={filters.priority}
          onChange={({ target }) => change({ priority: target.value as Filters["priority"] })}
        >
          <option value="">Any priority</option>
          {Object.entries(PRIORITIES).map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
        {filters.tag && (
          <button aria-label={`Tag ${filters.tag}: show all tasks`} onClick={() => change({ tag: "" })}>
            {filters.tag} ×
          </button>
        )}
        <input
          type="search"
          aria-label="Search"
          placeholder="Search"
          maxLength={200}
          value={filters.search}
          onChange={({ target }) => change({ search: target.value })}
        />
      </search>
      <ul id="tasks" tabIndex={-1} aria-label="Tasks">
        {shown.map((task) => (
          <TaskRow
            key={task.id}
            task={task}
            pending={pending.filter((write) => write.task.id === task.id)}
            onTag={(tag) => change({ tag })}
          />
        ))}
      </ul>
      {tasks.isSuccess && shown.length === 0 && (
        <p className="empty">
          {JSON.stringify(filters) === JSON.stringify(NO_FILTERS) ? "No tasks." : "No task matches."}
        </p>
      )}
      {tasks.hasNextPage && <button onClick={() => tasks.fetchNextPage()}>Show more</button>}
    </main>
  );
}
