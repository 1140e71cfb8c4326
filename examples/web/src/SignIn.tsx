import { useState, type FormEvent } from "react";
import { auth } from "./api";

export function SignIn() {
  const [isNew, setIsNew] = useState(false);
  const [error, setError] = useState("");

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    type Account = Record<"name" | "email" | "password", string>;
    const account = Object.fromEntries(new FormData(event.currentTarget)) as Account;
    const { error } = await (isNew ? auth.signUp.email(account) : auth.signIn.email(account));
    setError(error ? (error.message ?? "The server can't be reached") : "");
  }

  return (
    <main className="sign-in">
      <h1>Tasks</h1>
      <form onSubmit={submit}>
        <h2>{isNew ? "Create an account" : "Sign in"}</h2>
        {isNew && (
          <label>
            Name
            <input name="name" autoComplete="name" required />
          </label>
        )}
        <label>
          E-mail
          <input name="email" type="email" autoComplete="email" required />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            autoComplete={isNew ? "new-password" : "current-password"}
            minLength={8}
            required
          />
        </label>
        {error && <p role="alert">{error}</p>}
        <button className="primary">{isNew ? "Sign up" : "Sign in"}</button>
        <button type="button" className="link" onClick={() => setIsNew(!isNew)}>
          {isNew ? "I have an account" : "I am new here"}
        </button>
      </form>
    </main>
  );
}
