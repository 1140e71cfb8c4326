// The Better Auth server: sign-up, sign-in with e-mail and password, and tokens for the API (JWT plugin).
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import { SqliteDialect } from "kysely";
import Database from "libsql";

/** Stores its database in `folder`, and the secret that signs cookies and encrypts the signing keys. */
export async function authServer(baseURL: string, folder: string) {
  mkdirSync(folder, { recursive: true });
  const secret = `${folder}/secret`;
  if (!existsSync(secret)) writeFileSync(secret, randomBytes(32).toString("base64"), { mode: 0o600 });

  const auth = betterAuth({
    baseURL,
    secret: readFileSync(secret, "utf8"),
    database: { dialect: new SqliteDialect({ database: new Database(`${folder}/auth.db`) }), type: "sqlite" },
    emailAndPassword: { enabled: true },
    // Signs with EdDSA and replaces its key every 30 days. The public keys are at /api/auth/jwks.
    plugins: [jwt({ jwks: { rotationInterval: 30 * 24 * 60 * 60 } })],
    telemetry: { enabled: false },
  });
  await (await getMigrations(auth.options)).runMigrations();
  return toNodeHandler(auth);
}
