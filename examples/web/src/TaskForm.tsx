import { useId, type FormEvent, type KeyboardEvent } from "react";
import { day, type Fields } from "./writes";

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

export const PRIORITIES = { low: "Low", medium: "Medium", high: "High" } as const;

/** The fields of a task. The form doesn't validate them: it shows the API's error messages next to them. */
export function TaskForm({ label, submit, fields = {}, errors = {}, autoFocus, onSubmit, onCancel }: Props) {
  const id = useId();
  const focused = (["title", "description", "due_date", "priority", "tags"] as const).find((name) => name in errors) ?? "title";

  function handleSubmit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.currentTarget)) as Record<keyof Fields, string>;
    onSubmit({
      title: values.title,
      description: values.description || null,
      due_date: values.due_date || null,
      priority: values.priority as Fields["priority"],
      tags: values.tags.split(/\s*,\s*/).filter(Boolean).join(",") || null,
    });
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
        <input {...field("due_date")} type="date" defaultValue={fields.due_date ? day(fields.due_date) : ""} />
        {error("due_date")}
      </div>
      <div>
        <label htmlFor={`${id}-tags`}>Tags</label>
        <input {...field("tags")} defaultValue={fields.tags?.replaceAll(",", ", ")} placeholder="home, shopping" />
        {error("tags")}
      </div>
      <div>
        <label htmlFor={`${id}-priority`}>Priority</label>
        <select {...field("priority")} defaultValue={fields.priority ?? "medium"}>
          {Object.entries(PRIORITIES).map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
        {error("priority")}
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
