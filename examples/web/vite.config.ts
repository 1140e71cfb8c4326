import react from "@vitejs/plugin-react";
import { defineConfig, loadEnv, type Plugin } from "vite";
import { authServer } from "./auth.ts";

/** Serves Better Auth from the origin of the app, so that its cookies need no CORS. */
function betterAuth(url: string, folder: string): Plugin {
  return {
    name: "better-auth",
    async configureServer({ middlewares }) {
      const handle = await authServer(url, folder);
      middlewares.use((request, response, next) =>
        request.url?.startsWith("/api/auth/") ? void handle(request, response) : next(),
      );
    },
  };
}

export default defineConfig(({ mode }) => {
  const { BETTER_AUTH_URL, AUTH_FOLDER = ".auth" } = loadEnv(mode, import.meta.dirname, ["BETTER_AUTH_", "AUTH_"]);
  return {
    plugins: [react(), betterAuth(BETTER_AUTH_URL!, AUTH_FOLDER)],
    server: { port: Number(new URL(BETTER_AUTH_URL!).port), strictPort: true },
  };
});
