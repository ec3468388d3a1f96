// One row under one revision: `program.ts ROW` reads a number of milliseconds a line, runs the row for that time, and
// writes the nanoseconds of an operation. It starts the row's other process as `program.ts ROW SERVER`. `compare.ts` puts
// this file beside the package of each revision.
import { channel, IpcOneShotServer, IpcSender } from "../../mod.ts";
import { type Loop, ROWS, type Setup } from "./rows.ts";

/** Operations between two looks at the clock take about so many milliseconds. */
const STEP = 2;
/** Milliseconds at the start of each turn that do not count: the other side had the machine. */
const LEAD_IN = 5;

async function start(title: string, setup: Setup): Promise<Deno.ChildProcess> {
  using server = new IpcOneShotServer<IpcSender<Setup>>();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", new URL(import.meta.url).pathname, title, server.name],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const [receiver, inbox] = await server.accept({ timeout: 30_000 });
  inbox.sendSync(setup);
  inbox.close();
  receiver.close();
  return child;
}

async function assist(title: string, server: string): Promise<void> {
  const [inbox, setups] = channel<Setup>();
  using parent = IpcSender.connect<IpcSender<Setup>>(server);
  parent.sendSync(inbox);
  await ROWS[title]!.partner!(await setups.recv());
}

/** The number of operations that take about `STEP`. */
let count = 64;

async function turn(loop: Loop, milliseconds: number): Promise<number> {
  const run = async (until: number) => {
    let took = 0, done = 0;
    // By the clock, not by what counts: a row may count only half of what it does.
    for (const end = performance.now() + until; performance.now() < end;) {
      const begin = performance.now();
      took += await loop.run(count);
      done += count;
      count = Math.max(16, Math.min(1 << 16, Math.round(count * STEP / Math.max(0.1, performance.now() - begin))));
    }
    return took * 1e6 / done;
  };
  await run(LEAD_IN);
  return await run(milliseconds);
}

async function measure(title: string): Promise<void> {
  const loop = ROWS[title]!.prepare();
  const child = loop.setup === undefined ? undefined : await start(title, loop.setup);
  loop.setup?.to?.close();
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    console.log(await turn(loop, Number(text)));
  }
  if (child !== undefined) {
    try {
      child.kill("SIGKILL");
    } catch {
      // Ended by itself; the status tells.
    }
    const { signal, code } = await child.status;
    if (signal !== "SIGKILL") throw new Error(`The other process of "${title}" ended with exit code ${code}`);
  }
  globalThis.dispatchEvent(new Event("unload")); // cells are removed as at the end of a program
  Deno.exit();
}

const [title, server] = Deno.args;
await (server === undefined ? measure(title!) : assist(title!, server));
