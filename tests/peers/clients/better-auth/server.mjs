// A Better Auth server with email and password and the JWT plugin. PORT, ALGORITHM, DATABASE_URL,
// BETTER_AUTH_SECRET and ROTATION_SECONDS (the lifetime of its keys; empty: no rotation) configure it. It
// prints "listening" when it is ready.
import { createServer } from "node:http";

import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import pg from "pg";

const { PORT, ALGORITHM, DATABASE_URL, BETTER_AUTH_SECRET, ROTATION_SECONDS } = process.env;
const baseURL = `http://127.0.0.1:${PORT}`;

const auth = betterAuth({
  baseURL,
  secret: BETTER_AUTH_SECRET,
  database: new pg.Pool({ connectionString: DATABASE_URL }),
  emailAndPassword: { enabled: true },
  plugins: [
    jwt({
      jwks: {
        keyPairConfig: ALGORITHM === "EdDSA" ? undefined : { alg: ALGORITHM },
        rotationInterval: ROTATION_SECONDS ? Number(ROTATION_SECONDS) : undefined,
      },
    }),
  ],
  telemetry: { enabled: false },
});

const { runMigrations } = await getMigrations(auth.options);
await runMigrations();
createServer(toNodeHandler(auth)).listen(Number(PORT), "127.0.0.1", () => console.log("listening"));

// Exits when the process that started it does, because that closes standard input.
process.stdin.on("end", () => process.exit(0)).resume();
