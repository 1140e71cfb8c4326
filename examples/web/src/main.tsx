import { createSyncStoragePersister } from "@tanstack/query-sync-storage-persister";
import { PersistQueryClientProvider } from "@tanstack/react-query-persist-client";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { queryClient } from "./writes";
import "./style.css";

// Writes that were not carried out survive a reload. Each tab has a queue of its own: a write that two tabs sent would
// be carried out once, because of its key, but one tab's storage must not overwrite the other's. After a day, the
// default of maxAge, it is dropped: the API may have forgotten the keys.
const persistOptions = {
  persister: createSyncStoragePersister({ storage: sessionStorage, throttleTime: 0 }),
  dehydrateOptions: {
    shouldDehydrateQuery: () => false,
    shouldDehydrateMutation: ({ state }: { state: { status: string } }) => state.status !== "success",
  },
};

/** Sends what was waiting, or on its way, when the page was left. */
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
