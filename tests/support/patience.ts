// How long tests wait for what must happen before they call it a hang. No test measures speed by it.

/** Set by what runs the suite where everything takes much longer, as on an emulated processor. */
const VARIABLE = "ISTHMUS_TEST_PATIENCE";
/** More than this the load of a machine does not count. */
const MOST_LOAD = 4;

const granted = (descriptor: Deno.PermissionDescriptor) => Deno.permissions.querySync(descriptor).state === "granted";
const asked = granted({ name: "env", variable: VARIABLE }) ? Number(Deno.env.get(VARIABLE) ?? 1) : 1;
const factor = asked * Math.min(Math.max(1, load()), MOST_LOAD);

/** How many programs want to run for each processor, over the last minute; 0 if that cannot be known. */
function load(): number {
  if (!granted({ name: "read", path: "/proc/loadavg" })) return 0;
  try {
    return Number.parseFloat(Deno.readTextFileSync("/proc/loadavg")) / navigator.hardwareConcurrency;
  } catch {
    return 0;
  }
}

/** A time-out in milliseconds for what must happen, given what is generous on a busy machine. */
export function patience(milliseconds: number): number {
  return milliseconds * factor;
}

/** Milliseconds that a process or a Worker gets for starting: its code may have to be compiled first. */
export const START = patience(60_000);

/**
 * The least time that something takes, of a few times: what is quick is so at least once, also on a busy machine.
 *
 * @param limit Milliseconds; once it took less, it is not done again.
 * @param act Does it, and returns the milliseconds that it took.
 */
export async function leastOf(limit: number, act: () => number | Promise<number>): Promise<number> {
  let least = Infinity;
  for (let turn = 0; turn < 5 && least >= limit; turn++) least = Math.min(least, await act());
  return least;
}
