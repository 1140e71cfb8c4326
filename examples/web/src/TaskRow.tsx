import { useState } from "react";
import { readTask, type Task, type Version } from "./api";
import { TaskForm } from "./TaskForm";
import { changed, useWrite, type Fields, type Write } from "./writes";

interface Props {
  task: Task;
  /** The writes to this task that have not been carried out yet. */
  pending: Write[];
  onDelete(): void;
}

export function TaskRow({ task, pending, onDelete }: Props) {
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
  // A new task can't be changed before the API has assigned its id.
  const isNew = pending.some(({ kind }) => kind === "create");
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
        <button aria-label={`Edit ${task.title}`} autoFocus={wasEdited} disabled={isNew} onClick={open}>
          Edit
        </button>
        <button
          aria-label={`Delete ${task.title}`}
          disabled={isNew}
          onClick={() => {
            send("delete");
            onDelete();
          }}
        >
          Delete
        </button>
      </div>
      {task.description && <p>{task.description}</p>}
      {task.due_date && <time dateTime={task.due_date}>Due {formatDay(task.due_date)}</time>}
    </li>
  );
}

export const formatDay = (date: string) =>
  new Date(date).toLocaleDateString("en", { dateStyle: "medium", timeZone: "UTC" });
