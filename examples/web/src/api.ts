// A typed client of the API. Every request carries a token from Better Auth.
import { createAuthClient } from "better-auth/react";
import { jwtClient } from "better-auth/client/plugins";
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi";

export type Task = components["schemas"]["EnvelopeTask"];
type Failure = { error: { message: string; details?: unknown } };

/** Why a request failed. Status 0 means that the API can't be reached. */
export interface Problem {
  status: number;
  message: string;
  /** The error messages by field, if the status is 422. */
  details: Record<string, string[]>;
  /** The delay before the next attempt, in seconds. */
  retryAfter?: number;
  /** The current task, if the status is 412. */
  theirs?: Version;
}

/** A task and its ETag. */
export interface Version {
  task: Task;
  etag: string;
}

export const auth = createAuthClient({ plugins: [jwtClient()] });

// How long a token is reused, in milliseconds. Better Auth's tokens are valid for 15 minutes.
const TOKEN_AGE = 10 * 60 * 1000;
let token = { value: "", userId: "", fetched: 0 };

export const api = createClient<paths>({ baseUrl: import.meta.env.VITE_API_URL });
api.use({
  async onRequest({ request, params }) {
    const userId = String(params.path?.user_id);
    if (token.userId !== userId || Date.now() - token.fetched > TOKEN_AGE) {
      const { data, error } = await auth.token();
      // A 401 means that the session has ended. The API then rejects the empty token.
      if (error && error.status !== 401) throw error;
      token = { value: data?.token ?? "", userId, fetched: data ? Date.now() : 0 };
    }
    request.headers.set("Authorization", `Bearer ${token.value}`);
  },
  onResponse({ response }) {
    if (response.status === 401) token.fetched = 0;
  },
});

/** What the user can do about a response, by status. The API's own messages are for developers. */
const MESSAGES: Record<number, string> = {
  401: "You have been signed out",
  404: "This task has been deleted elsewhere",
  422: "Please correct what is marked",
  429: "Too many changes at once",
};

/** Returns the result of a call, or throws a `Problem`. */
export async function ok<T>(call: Promise<{ data?: T; error?: Failure; response: Response }>) {
  const { data, error, response } = await call.catch((): never => {
    const problem: Problem = { status: 0, message: "The server can't be reached", details: {} };
    throw problem;
  });
  if (response.ok) return { data: data as T, etag: response.headers.get("etag") ?? "" };
  const { status } = response;
  const message =
    status >= 500 ? "The server has a problem" : (MESSAGES[status] ?? error?.error.message ?? `Error ${status}`);
  const retryAfter = Number(response.headers.get("retry-after")) || undefined;
  const details = (status === 422 && error?.error.details) || {};
  throw { status, message, details, retryAfter } as Problem;
}

export async function readTask({ user_id, id }: Task): Promise<Version> {
  const path = { user_id, task_id: id };
  const { data, etag } = await ok(api.GET("/api/{user_id}/tasks/{task_id}", { params: { path } }));
  return { task: data.data, etag };
}
