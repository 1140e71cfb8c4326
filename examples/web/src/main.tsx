import { createSyncStoragePersister } from "@tanstack/query-sync-storage-persister";
import { PersistQueryClientProvider } from "@tanstack/react-query-persist-client";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { queryClient } from "./writes";
import "./style.css";

// Writes that have not been carried out survive a reload. Each tab stores its own queue, in sessionStorage,
// because tabs that share a store would overwrite each other's queue. A queue is dropped after a day (the
// default of maxAge): the API might have deleted its idempotency keys by then.
const persistOptions = {
  persister: createSyncStoragePersister({ storage: sessionStorage, throttleTime: 0 }),
  dehydrateOptions: {
    shouldDehydrateQuery: () => false,
    shouldDehydrateMutation: ({ state }: { state: { status: string } }) => state.status !== "success",
  },
};

/** Sends the writes that were pending when the page was reloaded. */
function resume() {
  for (const mutation of queryClient.getMutationCache().findAll({ status: "pending" }))
    mutation.continue().catch(() => {});
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <PersistQueryClientProvider client={queryClient} persistOptions={persistOptions} onSuccess={resume}>
      <App />
    </PersistQueryClientProvider>
  </StrictMode>,
);
