import { TaskForm } from "./TaskForm";
import { formatDay } from "./TaskRow";
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

  function again(changes: Partial<Write>) {
    dismiss(failure);
    send({ ...write, ...changes });
  }
  function correct(corrected: Fields) {
    const fields = kind === "create" ? corrected : changed(task, corrected);
    again({ key: crypto.randomUUID(), task: kind === "create" ? { ...task, ...corrected } : task, fields });
  }

  const title = `${kind === "delete" ? "Not deleted" : "Not saved"}: ${task.title}`;
  return (
    <section className="failure" aria-label={title}>
      <h2>{title}</h2>
      <p role="alert">{problem.message}</p>
      {problem.theirs ? (
        <>
          <Comparison mine={fields} theirs={problem.theirs.task} />
          <div className="buttons">
            <button className="primary" onClick={() => again({ key: crypto.randomUUID(), ...problem.theirs })}>
              Keep mine
            </button>
            <button onClick={() => dismiss(failure)}>Take theirs</button>
          </div>
        </>
      ) : problem.status === 422 ? (
        <TaskForm
          label={`Correct ${task.title}`}
          submit="Save"
          fields={{ ...task, ...fields }}
          errors={problem.details}
          autoFocus
          onSubmit={correct}
          onCancel={() => dismiss(failure)}
        />
      ) : (
        <div className="buttons">
          {problem.status >= 500 && <button onClick={() => again({})}>Try again</button>}
          <button onClick={() => dismiss(failure)}>Dismiss</button>
        </div>
      )}
    </section>
  );
}

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
            <th scope="row">{{ title: "Title", description: "Description", due_date: "Due" }[name]}</th>
            <td>{show(name, mine[name])}</td>
            <td>{show(name, theirs[name])}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
