// The plain contract with pg and jose, without a framework.

import { randomUUID } from "node:crypto";

import { errors, jwtVerify } from "jose";
import pg from "pg";

const LEEWAY_SECONDS = 30;
const LIST_LIMIT = 1000;
const LAST_TASK_ID = 2n ** 63n - 1n;
const COLUMNS = "number as id, user_id, title, description, completed, created_at, updated_at";

const key = await crypto.subtle.importKey(
  "raw",
  new TextEncoder().encode(process.env.JWT_SECRET),
  { name: "HMAC", hash: "SHA-256" },
  false,
  ["verify"],
);

// By default, bigint is parsed as text. Task ids stay far below 2^53.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const pool = openPool();
// Without a listener, a connection that breaks between requests ends the process.
pool.on("error", (error) => console.error(error));
// If this fails, the first request tries again.
await pool.query("select").catch((error) => console.error(error));

function openPool() {
  const url = new URL(process.env.DATABASE_URL);
  const tls = (url.searchParams.get("sslmode") ?? "disable") !== "disable";
  // The URL's parameters would override `ssl`.
  url.search = "";
  return new pg.Pool({
    connectionString: url.href,
    ssl: tls && { ca: process.env.DATABASE_CA_CERT },
    // A process handles one request at a time, and is frozen in between.
    max: 1,
    idleTimeoutMillis: 0,
  });
}

/** A request that is rejected, with its response. */
class Refusal extends Error {
  constructor(status, detail, headers) {
    super();
    this.answer = answer(status, { detail }, headers);
  }
}

export async function handler(event) {
  try {
    const userId = await authenticate(event);
    switch (event.routeKey) {
      case "POST /plain/api/{user_id}/tasks":
        return await createTask(userId, event);
      case "GET /plain/api/{user_id}/tasks":
        return await listTasks(userId);
      case "GET /plain/api/{user_id}/tasks/{task_id}":
        return await getTask(userId, event);
      case "PUT /plain/api/{user_id}/tasks/{task_id}":
        return await updateTask(userId, event);
      case "PATCH /plain/api/{user_id}/tasks/{task_id}/complete":
        return await completeTask(userId, event);
      case "DELETE /plain/api/{user_id}/tasks/{task_id}":
        return await deleteTask(userId, event);
      default:
        return answer(404, { detail: "Not Found" });
    }
  } catch (error) {
    if (error instanceof Refusal) {
      return error.answer;
    }
    console.error(error);
    return answer(500, { detail: "Internal server error" });
  }
}

function answer(statusCode, body, headers) {
  return { statusCode, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
}

/** Returns the user id of the token, which must equal that of the path. */
async function authenticate({ headers, pathParameters }) {
  const refuse = (detail) => new Refusal(401, detail, { "www-authenticate": "Bearer" });
  const [, token] = headers.authorization?.match(/^bearer (.+)$/i) ?? [];
  if (!token) {
    throw refuse("Missing authorization token");
  }
  const options = { algorithms: ["HS256"], clockTolerance: LEEWAY_SECONDS, requiredClaims: ["exp", "sub"] };
  const { payload } = await jwtVerify(token, key, options).catch((error) => {
    throw refuse(error instanceof errors.JWTExpired ? "Token has expired" : "Invalid or malformed token");
  });
  if (payload.sub !== pathParameters.user_id) {
    throw new Refusal(403, "Access forbidden: user_id mismatch");
  }
  return payload.sub;
}

async function createTask(userId, event) {
  const { title, description = null, completed = false } = readFields(event, newTask);
  // A named statement is prepared once for each connection.
  const { rows } = await pool.query({
    name: "create",
    text: `with owner as (insert into users (id) values ($2) on conflict do nothing)
           insert into tasks (id, user_id, title, description, completed, completed_at)
           values ($1, $2, $3, $4, $5, case when $5 then now() end)
           returning ${COLUMNS}`,
    values: [randomUUID(), userId, title, description, completed],
  });
  const location = `/plain/api/${encodeURIComponent(userId)}/tasks/${rows[0].id}`;
  return answer(201, rows[0], { location });
}

async function listTasks(userId) {
  const { rows } = await pool.query({
    name: "list",
    text: `select ${COLUMNS} from tasks where user_id = $1 order by number limit ${LIST_LIMIT}`,
    values: [userId],
  });
  return answer(200, rows);
}

async function getTask(userId, event) {
  const { rows } = await pool.query({
    name: "get",
    text: `select ${COLUMNS} from tasks where user_id = $1 and number = $2`,
    values: [userId, readTaskId(event)],
  });
  return showTask(rows);
}

async function updateTask(userId, event) {
  const taskId = readTaskId(event);
  const { title = null, description, completed = null } = readFields(event, changes);
  if (title === null && description === undefined && completed === null) {
    return await getTask(userId, event);
  }
  const { rows } = await pool.query({
    name: "update",
    text: `update tasks set
             title = coalesce($3, title),
             description = case when $4 then $5 else description end,
             completed = coalesce($6, completed),
             completed_at = case when coalesce($6, completed) then coalesce(completed_at, now()) end,
             updated_at = now()
           where user_id = $1 and number = $2
           returning ${COLUMNS}`,
    values: [userId, taskId, title, description !== undefined, description ?? null, completed],
  });
  return showTask(rows);
}

async function completeTask(userId, event) {
  const { rows } = await pool.query({
    name: "complete",
    text: `update tasks set
             completed = not completed,
             completed_at = case when not completed then now() end,
             updated_at = now()
           where user_id = $1 and number = $2
           returning ${COLUMNS}`,
    values: [userId, readTaskId(event)],
  });
  return showTask(rows);
}

async function deleteTask(userId, event) {
  const { rowCount } = await pool.query({
    name: "delete",
    text: "delete from tasks where user_id = $1 and number = $2",
    values: [userId, readTaskId(event)],
  });
  if (rowCount === 0) {
    throw new Refusal(404, "Task not found");
  }
  return { statusCode: 204 };
}

function showTask([task]) {
  if (!task) {
    throw new Refusal(404, "Task not found");
  }
  return answer(200, task);
}

function readTaskId({ pathParameters: { task_id: text } }) {
  if (!/^\d{1,19}$/.test(text) || BigInt(text) < 1n || BigInt(text) > LAST_TASK_ID) {
    const msg = "Input should be an integer from 1";
    throw new Refusal(422, [{ type: "int_parsing", loc: ["path", "task_id"], msg }]);
  }
  // As text, because a number would lose digits beyond 2^53.
  return text;
}

/** Parses the JSON object in the body. `check` has a function for each field, which returns whether the value is valid. */
function readFields({ body = "", isBase64Encoded }, check) {
  let fields;
  try {
    fields = JSON.parse(isBase64Encoded ? Buffer.from(body, "base64").toString() : body);
  } catch {
    throw new Refusal(400, "Request body is not valid JSON");
  }
  const isObject = typeof fields === "object" && fields !== null && !Array.isArray(fields);
  const faults = isObject ? Object.keys(check).filter((name) => !check[name](fields[name])) : ["body"];
  if (faults.length > 0) {
    const msg = "Input should be valid";
    throw new Refusal(422, faults.map((name) => ({ type: "value_error", loc: ["body", name], msg })));
  }
  return fields;
}

// A character is a Unicode scalar value. PostgreSQL can't store U+0000.
const isText = (text, max) =>
  typeof text === "string" && (text.length <= max || [...text].length <= max) && !text.includes("\0");

const newTask = {
  title: (title) => isText(title, 200) && title.trim() !== "",
  description: (description = null) => description === null || isText(description, 1000),
  completed: (completed = false) => typeof completed === "boolean",
};

const changes = {
  title: (title = null) => title === null || newTask.title(title),
  description: newTask.description,
  completed: (completed = null) => completed === null || newTask.completed(completed),
};
