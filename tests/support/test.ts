// Registers tests: with the sanitizers on, a bound against hanging, a look at what is left behind, and only where the
// permissions that a test needs were granted.
import { pollsAtRest } from "../../ffi/event/readiness.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { Leftovers } from "./leftovers.ts";
import { patience } from "./patience.ts";
import { Processes } from "./processes.ts";

/** Milliseconds after which an asynchronous test counts as hanging. Not a measure of speed: generous on a busy machine. */
const PATIENCE = patience(120_000);

const mayUse = Deno.permissions.querySync({ name: "ffi" }).state === "granted";
// Stays open for the life of the isolate, so it must not be the first test that opens it.
if (mayUse) libc();

const mayRun = mayUse && Deno.permissions.querySync({ name: "run" }).state === "granted" &&
  Deno.permissions.querySync({ name: "read" }).state === "granted";

/**
 * A test within this process; needs `--allow-ffi`.
 *
 * @param leaves Why something is left behind, if it cannot be helped.
 */
export function test(name: string, body: () => void | Promise<void>, leaves?: string): void {
  register(name, async () => {
    const leftovers = await Leftovers.watch();
    await bounded(body());
    if (leaves === undefined) await leftovers.expectNone();
  });
}

/** What a test may need that looks at files, links and users by Deno's own means. */
const mayLook = mayUse && (["read", "write", "sys", "run", "env"] as const)
  .every((name) => Deno.permissions.querySync({ name }).state === "granted");

/** A test within this process that looks at files and users itself; ignored, with a word, without `--allow-all`. */
export function lookingTest(name: string, body: () => void | Promise<void>): void {
  if (!mayLook) console.log(`Ignored, as it needs --allow-all: ${name}`);
  register(name, async () => {
    const leftovers = await Leftovers.watch();
    await bounded(body());
    await leftovers.expectNone();
  }, !mayLook);
}

/**
 * A test that starts processes or Workers; ignored, with a word about it, where that is not permitted.
 *
 * @param leaves Why something is left behind, if it cannot be helped.
 */
export function processTest(
  name: string,
  body: (processes: Processes) => void | Promise<void>,
  leaves?: string,
): void {
  if (!mayRun) {
    console.log(`Ignored, as it needs --allow-run and --allow-read: ${name}`);
  }
  register(name, async () => {
    const leftovers = await Leftovers.watch();
    {
      await using processes = new Processes();
      await bounded(body(processes));
    }
    if (leaves === undefined) await leftovers.expectNone();
  }, !mayRun);
}

function register(name: string, fn: () => Promise<void>, ignore = false): void {
  const settled = async () => {
    await fn();
    await pollsAtRest(); // what a server does beside its accept() ends a moment after the server is closed
  };
  Deno.test({ name, fn: settled, ignore, sanitizeOps: true, sanitizeResources: true, sanitizeExit: true });
}

async function bounded(work: void | Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hanging = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`The test hangs: not done after ${PATIENCE} ms`)), PATIENCE);
  });
  try {
    await Promise.race([work, hanging]);
  } finally {
    clearTimeout(timer);
  }
}
