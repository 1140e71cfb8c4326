import { TaskForm } from "./TaskForm";
import { focusTask, formatDay } from "./TaskRow";
import type { Task } from "./api";
import { changed, dismiss, useFailures, useWrite, type Failure, type Fields, type Write } from "./writes";

/** The writes that failed, each with what the user can do about it. */
export function Failures() {
  return useFailures().map((failure) => <FailureCard key={failure.write.key} failure={failure} />);
}

function FailureCard({ failure }: { failure: Failure }) {
  const { write, problem } = failure;
  const { kind, task, fields } = write;
  const send = useWrite();

  function drop() {
    dismiss(failure);
    focusTask(task.id);
  }
  function again(changes: Partial<Write>) {
    drop();
    send({ ...write, ...changes });
  }
  function correct(corrected: Fields) {
    const fields = kind === "create" ? corrected : changed(task, corrected);
    again({ key: crypto.randomUUID(), task: kind === "create" ? { ...task, ...corrected } : task, fields });
  }

  const name = task.title.trim() || "a task without a title";
  const title = `${kind === "delete" ? "Not deleted" : "Not saved"}: ${name}`;
  return (
    <section className="failure" aria-label={title} tabIndex={-1} ref={focusUnlessTyping}>
      <h2>{title}</h2>
      <p role="alert">{problem.message}</p>
      {problem.theirs ? (
        <>
          <Comparison mine={fields} theirs={problem.theirs.task} />
          <div className="buttons">
            <button className="primary" onClick={() => again({ key: crypto.randomUUID(), ...problem.theirs })}>
              Keep mine
            </button>
            <button onClick={drop}>Take theirs</button>
          </div>
        </>
      ) : problem.status === 422 ? (
        <TaskForm
          label={`Correct ${name}`}
          submit="Save"
          fields={{ ...task, ...fields }}
          errors={problem.details}
          autoFocus
          onSubmit={correct}
          onCancel={drop}
        />
      ) : (
        <div className="buttons">
          {problem.status >= 500 && <button onClick={() => again({})}>Try again</button>}
          <button onClick={drop}>Dismiss</button>
        </div>
      )}
    </section>
  );
}

/** Shows a failure to a user who is not typing elsewhere. */
function focusUnlessTyping(card: HTMLElement | null) {
  if (!document.activeElement?.closest("form")) card?.focus();
}

const NAMES = { title: "Title", description: "Description", due_date: "Due", priority: "Priority", tags: "Tags" };

function Comparison({ mine, theirs }: { mine: Write["fields"]; theirs: Task }) {
  const names = Object.keys(mine) as (keyof Fields)[];
  const show = (name: keyof Fields, value: string | null = null) =>
    value && name === "due_date" ? formatDay(value) : (value ?? "–");
  return (
    <table>
      <thead>
        <tr>
          <td />
          <th scope="col">Mine</th>
          <th scope="col">Theirs</th>
        </tr>
      </thead>
      <tbody>
        {names.map((name) => (
          <tr key={name}>
            <th scope="row">{NAMES[name]}</th>
            <td>{show(name, mine[name])}</td>
            <td>{show(name, theirs[name])}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
