// The API's typed client, with a token from Better Auth on every request.
import { createAuthClient } from "better-auth/react";
import { jwtClient } from "better-auth/client/plugins";
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi";

export type Task = components["schemas"]["EnvelopeTask"];
type Failure = { error: { message: string; details?: unknown } };

/** Why a request failed. Status 0: the API could not be reached. */
export interface Problem {
  status: number;
  message: string;
  /** What is wrong with each field, if the status is 422. */
  details: Record<string, string[]>;
  /** Seconds. */
  retryAfter?: number;
  /** The task as it is now, if the status is 412. */
  theirs?: Version;
}

/** A task with the ETag that belongs to it. */
export interface Version {
  task: Task;
  etag: string;
}

export const auth = createAuthClient({ plugins: [jwtClient()] });

// Better Auth's tokens are valid for 15 minutes.
const TOKEN_AGE = 10 * 60 * 1000;
let token = { value: "", userId: "", fetched: 0 };

export const api = createClient<paths>({ baseUrl: import.meta.env.VITE_API_URL });
api.use({
  async onRequest({ request, params }) {
    const userId = String(params.path?.user_id);
    if (token.userId !== userId || Date.now() - token.fetched > TOKEN_AGE) {
      const { data, error } = await auth.token();
      // Without a session there is no token, and the API says so. Any other error passes.
      if (error && error.status !== 401) throw error;
      token = { value: data?.token ?? "", userId, fetched: data ? Date.now() : 0 };
    }
    request.headers.set("Authorization", `Bearer ${token.value}`);
  },
  onResponse({ response }) {
    if (response.status === 401) token.fetched = 0;
  },
});

/** The result of a call; throws a `Problem` if there is none. */
export async function ok<T>(call: Promise<{ data?: T; error?: Failure; response: Response }>) {
  const { data, error, response } = await call.catch((): never => {
    const problem: Problem = { status: 0, message: "The server can't be reached", details: {} };
    throw problem;
  });
  if (response.ok) return { data: data as T, etag: response.headers.get("etag") ?? "" };
  const retryAfter = Number(response.headers.get("retry-after")) || undefined;
  const message = error?.error.message ?? `The server responded with ${response.status}`;
  const details = (response.status === 422 && error?.error.details) || {};
  throw { status: response.status, message, details, retryAfter } as Problem;
}

export async function readTask({ user_id, id }: Task): Promise<Version> {
  const path = { user_id, task_id: id };
  const { data, etag } = await ok(api.GET("/api/{user_id}/tasks/{task_id}", { params: { path } }));
  return { task: data.data, etag };
}
