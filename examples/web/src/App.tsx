import { useEffect, useState } from "react";
import { auth } from "./api";
import { SignIn } from "./SignIn";
import { Tasks } from "./Tasks";
import { forgetOthers, queryClient, sendDeletion } from "./writes";

export function App() {
  const { data, isPending } = auth.useSession();
  const [isLoaded, setIsLoaded] = useState(false);
  useEffect(() => {
    if (!isPending) setIsLoaded(true);
  }, [isPending]);
  useEffect(() => {
    if (data) forgetOthers(data.user.id);
  }, [data]);

  async function signOut() {
    sendDeletion();
    const { error } = await auth.signOut();
    if (!error) queryClient.clear();
  }

  if (!isLoaded) return null;
  if (!data) return <SignIn />;
  return (
    <>
      <header>
        <h1>Tasks</h1>
        <span>{data.user.name}</span>
        <button onClick={signOut}>Sign out</button>
      </header>
      <Tasks key={data.user.id} userId={data.user.id} />
    </>
  );
}
