import { useId, type FormEvent, type KeyboardEvent } from "react";
import type { Fields } from "./writes";

interface Props {
  label: string;
  submit: string;
  fields?: Partial<Fields>;
  /** The API's error messages by field. */
  errors?: Record<string, string[]>;
  autoFocus?: boolean;
  onSubmit(fields: Fields): void;
  onCancel?(): void;
}

/** The fields of a task. The form doesn't validate them: it shows the API's error messages next to them. */
export function TaskForm({ label, submit, fields = {}, errors = {}, autoFocus, onSubmit, onCancel }: Props) {
  const id = useId();
  const focused = (["title", "description", "due_date"] as const).find((name) => name in errors) ?? "title";

  function handleSubmit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.currentTarget)) as Record<keyof Fields, string>;
    const { title, description, due_date } = values;
    onSubmit({ title, description: description || null, due_date: due_date ? `${due_date}T00:00:00Z` : null });
    event.currentTarget.reset();
  }

  const field = (name: keyof Fields) => ({
    name,
    id: `${id}-${name}`,
    autoFocus: autoFocus && name === focused,
    "aria-invalid": name in errors,
    "aria-describedby": name in errors ? `${id}-${name}-error` : undefined,
  });
  const error = (name: keyof Fields) =>
    errors[name] && (
      <p className="error" id={`${id}-${name}-error`}>
        {errors[name].join(". ")}
      </p>
    );

  const more = (
    <>
      <div>
        <label htmlFor={`${id}-description`}>Description</label>
        <textarea {...field("description")} defaultValue={fields.description ?? ""} rows={2} />
        {error("description")}
      </div>
      <div>
        <label htmlFor={`${id}-due_date`}>Due</label>
        <input {...field("due_date")} type="date" defaultValue={fields.due_date?.slice(0, 10)} />
        {error("due_date")}
      </div>
    </>
  );

  return (
    <form
      className="task-form"
      aria-label={label}
      onSubmit={handleSubmit}
      onKeyDown={({ key }: KeyboardEvent) => key === "Escape" && onCancel?.()}
    >
      <div className="wide">
        <label htmlFor={`${id}-title`}>Title</label>
        <input {...field("title")} defaultValue={fields.title} required />
        {error("title")}
      </div>
      {onCancel && more}
      <div className="buttons">
        <button className="primary">{submit}</button>
        {onCancel && (
          <button type="button" onClick={onCancel}>
            Cancel
          </button>
        )}
      </div>
      {!onCancel && (
        <details>
          <summary>Details</summary>
          <div className="more">{more}</div>
        </details>
      )}
    </form>
  );
}
