/**
 * What the package costs before anything is sent: the time to import it, the time from starting a process to its first
 * message, and the memory and descriptors of channels that nobody uses.
 *
 * ```sh
 * deno task bench:footprint
 * ```
 *
 * @module
 */
import { channel, IpcOneShotServer } from "../mod.ts";
import { summarise } from "./harness/statistics.ts";

const ROUNDS = 15, CHANNELS = 500;
const RUN = ["run", "--allow-all", "--quiet", "--config", new URL("../deno.json", import.meta.url).pathname];
const MOD = new URL("../mod.ts", import.meta.url).href;

/** Milliseconds that a Deno process takes for a program, from start to end. */
async function run(program: string): Promise<number> {
  const file = Deno.makeTempFileSync({ suffix: ".js" });
  try {
    Deno.writeTextFileSync(file, program);
    const began = performance.now();
    await new Deno.Command(Deno.execPath(), { args: [...RUN, file] }).output();
    return performance.now() - began;
  } finally {
    Deno.removeSync(file);
  }
}

/** Milliseconds from starting a process until its first message is here. */
async function firstMessage(): Promise<number> {
  using server = new IpcOneShotServer<string>();
  const file = Deno.makeTempFileSync({ suffix: ".js" });
  try {
    Deno.writeTextFileSync(
      file,
      `import { IpcSender } from ${JSON.stringify(MOD)}; IpcSender.connect(Deno.args[0]).sendSync("here");`,
    );
    const began = performance.now();
    const child = new Deno.Command(Deno.execPath(), { args: [...RUN, file, server.name] })
      .spawn();
    const [receiver] = await server.accept({ timeout: 30_000 });
    const took = performance.now() - began;
    receiver.close();
    await child.status;
    return took;
  } finally {
    Deno.removeSync(file);
  }
}

/** KiB of this process's own and shared memory, and its descriptors. */
function held(): { kib: number; fds: number } {
  const status = Deno.readTextFileSync("/proc/self/status");
  return { kib: Number(/VmRSS:\s+(\d+)/.exec(status)![1]), fds: [...Deno.readDirSync("/proc/self/fd")].length };
}

const empty: number[] = [], importing: number[] = [], first: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  empty.push(await run("0"));
  importing.push(await run(`import ${JSON.stringify(MOD)};`));
  first.push(await firstMessage());
}
const text = (name: string, values: number[]) => {
  const { median, least, most } = summarise(values);
  console.log(`${name.padEnd(52)} ${median.toFixed(1)} ms   (${least.toFixed(1)} … ${most.toFixed(1)})`);
};
text("start and end of a process that does nothing", empty);
text("the same, importing this package", importing);
text("start of a process until its first message is here", first);

/** Channels that have been looked at: before, they have nothing. */
const channels = (length: number) =>
  Array.from({ length }, () => {
    const ends = channel();
    ends[1].tryRecv();
    return ends;
  });
const warm = channels(20);
const before = held();
const idle = channels(CHANNELS);
const after = held();
console.log(
  `an idle channel: ${((after.kib - before.kib) / CHANNELS).toFixed(1)} KiB of memory, ${
    (after.fds - before.fds) / CHANNELS
  } descriptors, both ends in one process`,
);
for (const [sender, receiver] of [...warm, ...idle]) sender.close(), receiver.close();
