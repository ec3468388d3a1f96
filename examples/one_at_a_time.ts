// Three processes share a duty that one of them does at a time. When that one is killed, the next takes over, and is told.
//
//   deno run --allow-ffi --allow-run examples/one_at_a_time.ts
import { locks, parent, spawn } from "@isthmus/ipc";

/** What a process tells when the duty is its own. */
interface Duty {
  pid: number;
  /** The process that died while it had the duty. */
  after?: number | undefined;
}

const [role, name] = Deno.args;
if (role === "standby") await standBy(name!);
else await supervise();

async function standBy(name: string): Promise<void> {
  using line = parent<Duty, never>();
  await locks.request(name, async (lock) => {
    await line.send({ pid: Deno.pid, after: lock.deadOwner });
    await line.recv().catch(() => {}); // the duty; this one ends with the parent
  });
}

async function supervise(): Promise<void> {
  const name = `example-duty-${Deno.pid}`;
  const start = async () => {
    const child = await spawn<never, Duty>(new URL(import.meta.url), { args: ["standby", name] });
    return { child, duty: child.recv() };
  };
  const standby = await Promise.all([start(), start(), start()]);
  let last: number | undefined;
  while (standby.length > 0) {
    const { pid, after } = await Promise.any(standby.map(({ duty }) => duty));
    console.log(`process ${pid} has the duty${after === undefined ? "" : `, as process ${after} died`}`);
    if (after !== last) throw new Error(`it was told of ${after}, not of ${last}`);
    const [{ child }] = standby.splice(standby.findIndex(({ child }) => child.pid === pid), 1) as [typeof standby[0]];
    child.kill("SIGKILL");
    await child.status;
    last = pid;
  }
  await locks.request(name, ({ deadOwner }) => console.log(`process ${deadOwner} was the last`));
}
