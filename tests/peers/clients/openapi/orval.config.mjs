export default {
  tasks: {
    input: "../../../../openapi.json",
    output: {
      target: "generated/orval/index.ts",
      client: "fetch",
      baseUrl: { runtime: "process.env.TASK_API_URL" },
    },
  },
};
