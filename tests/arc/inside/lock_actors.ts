// What the tests of locks need, and processes that hold one.
import { assertEquals } from "@std/assert";
import { setStepHook } from "../../../base/step_hook.ts";
import { type IpcLock, type LockRequestOptions, locks } from "../../../mod.ts";
import type { Self } from "../../support/actor.ts";
import { patience } from "../../support/patience.ts";

/** This module, for starting its functions. */
export const ACTORS: string = import.meta.url;

/** A name that no other test has. */
export function lockName(): string {
  return `test-${crypto.randomUUID()}`;
}

/** The files of a lock. */
export function filesOf(name: string): string[] {
  return [...Deno.readDirSync("/dev/shm")].map(({ name }) => name).filter((file) => file.includes(name));
}

/** What others are asked of one lock. */
export async function stateOf(name: string): Promise<{ held: string[]; pending: string[] }> {
  const { held, pending } = await locks.query();
  const modes = (list: typeof held) => list.filter((lock) => lock.name === name).map(({ mode }) => mode);
  return { held: modes(held), pending: modes(pending) };
}

/** Waits until that is how it is. */
export async function until(name: string, state: { held: string[]; pending: string[] }): Promise<void> {
  for (const end = performance.now() + patience(10_000); performance.now() < end;) {
    if (JSON.stringify(await stateOf(name)) === JSON.stringify(state)) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals(await stateOf(name), state);
}

export interface HoldJob extends LockRequestOptions {
  readonly name: string;
  /** Where it meets its end, if not by the test. */
  readonly dies?: string;
  /** Where it stops until it is continued. */
  readonly stops?: string;
  /** Ends by itself in the callback. */
  readonly exits?: boolean;
}

/** Says what it got, and holds it until it is told. */
export async function hold({ name, dies, stops, exits, ...options }: HoldJob, self: Self): Promise<void> {
  if (dies !== undefined) setStepHook((step) => step === dies && Deno.kill(Deno.pid, "SIGKILL"));
  if (stops !== undefined) setStepHook((step) => step === stops && Deno.kill(Deno.pid, "SIGSTOP"));
  self.say("began");
  await locks.request(name, options, (lock: IpcLock) => {
    self.say(lock.ownerDied);
    if (exits) Deno.exit(0);
    self.hear();
  });
  self.say("ended");
  self.hear();
}

/** Holds a lock without an end. */
export async function holdOn({ name }: { name: string }): Promise<void> {
  await locks.request(name, () => new Promise((resolve) => setTimeout(resolve, 1e6)));
}
