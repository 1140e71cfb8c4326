const input = "../../../../openapi.json";
const logs = { file: false };

export default [
  { input, logs, output: { path: "generated/hey-api", module: { extension: ".js" } } },
  // Only to see by which parameter it pages: what it generates needs React.
  { input, logs, output: { path: "generated/hey-api-query" }, plugins: ["@hey-api/client-fetch", "@tanstack/react-query"] },
];
