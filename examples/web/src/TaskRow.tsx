import { useState } from "react";
import { readTask, type Task, type Version } from "./api";
import { PRIORITIES, TaskForm } from "./TaskForm";
import { changed, day, isoDay, undo, useWrite, type Fields, type PendingWrite, type Write } from "./writes";

interface Props {
  task: Task;
  /** The writes to this task that have not been carried out yet. */
  pending: PendingWrite[];
  /** Shows only the tasks with a tag. */
  onTag(tag: string): void;
}

export function TaskRow({ task, pending, onTag }: Props) {
  const [edited, setEdited] = useState<Pick<Write, "task" | "etag">>();
  const [wasEdited, setWasEdited] = useState(false);
  const write = useWrite();
  const send = (kind: Write["kind"], fields: Write["fields"] = {}) =>
    write({ kind, key: crypto.randomUUID(), task, fields });

  async function open() {
    // Gets the ETag of the version that the user edits. It can't be known while offline, or while earlier
    // writes to this task are pending.
    const version: Version | undefined = pending.length ? undefined : await readTask(task).catch(() => undefined);
    setEdited(version ?? { task });
    setWasEdited(true);
  }

  function save(fields: Fields) {
    const changes = changed(edited!.task, fields);
    if (Object.keys(changes).length) write({ kind: "edit", key: crypto.randomUUID(), ...edited!, fields: changes });
    setEdited(undefined);
  }

  if (edited) {
    return (
      <li>
        <TaskForm
          label={`Edit ${task.title}`}
          submit="Save"
          fields={edited.task}
          autoFocus
          onSubmit={save}
          onCancel={() => setEdited(undefined)}
        />
      </li>
    );
  }
  const deletion = pending.find(({ kind }) => kind === "delete");
  if (deletion) {
    return (
      <li className="deleted" aria-busy>
        <p>Deleted {task.title}</p>
        {!deletion.wasTried && (
          <button
            aria-label={`Undo deleting ${task.title}`}
            autoFocus
            ref={leaveFocusInList}
            onClick={() => {
              setWasEdited(true);
              undo(deletion);
            }}
          >
            Undo
          </button>
        )}
      </li>
    );
  }
  // A new task can't be changed before the API has assigned its id.
  const isNew = pending.some(({ kind }) => kind === "create");
  const isOverdue = !task.completed && task.due_date && day(task.due_date) < isoDay(new Date());
  return (
    <li className={task.completed ? "done" : undefined} aria-busy={pending.length > 0}>
      <label>
        <input
          type="checkbox"
          checked={task.completed}
          disabled={isNew}
          onChange={({ target }) => send("complete", { completed: target.checked })}
        />
        <span>{task.title}</span>
      </label>
      <div className="buttons">
        <button
          id={`edit-${task.id}`}
          aria-label={`Edit ${task.title}`}
          autoFocus={wasEdited}
          disabled={isNew}
          onClick={open}
        >
          Edit
        </button>
        <button aria-label={`Delete ${task.title}`} disabled={isNew} onClick={() => send("delete")}>
          Delete
        </button>
      </div>
      {task.description && <p>{task.description}</p>}
      {task.due_date && (
        <time dateTime={task.due_date} className={isOverdue ? "overdue" : undefined}>
          {isOverdue ? "Overdue since" : "Due"} {formatDay(task.due_date)}
        </time>
      )}
      {(task.priority !== "medium" || task.tags) && (
        <p className="labels">
          {task.priority !== "medium" && <span className={task.priority}>{PRIORITIES[task.priority]} priority</span>}
          {task.tags?.split(",").map((tag) => (
            <button key={tag} aria-label={`Show only tasks with the tag ${tag}`} onClick={() => onTag(tag)}>
              {tag}
            </button>
          ))}
        </p>
      )}
    </li>
  );
}

/** Moves the focus to a task, or to the list if the task is not in it. */
export const focusTask = (id?: string) =>
  (document.getElementById(`edit-${id}`) ?? document.getElementById("tasks"))?.focus();

/** Moves the focus to the list if an element that has it is removed. */
const leaveFocusInList = (element: HTMLElement | null) => () => {
  const hadFocus = element === document.activeElement;
  // In development, React's StrictMode also runs this right after mounting.
  queueMicrotask(() => {
    if (hadFocus && document.activeElement === document.body) focusTask();
  });
};

export const formatDay = (due: string) =>
  new Date(day(due)).toLocaleDateString("en", { dateStyle: "medium", timeZone: "UTC" });
