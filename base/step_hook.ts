// A seam for tests that kill or stop a process between two steps of a protocol. Imports nothing.

type Hook = (step: string) => void;

let hook: Hook | undefined;

/** Marks a named step of a protocol. Does nothing unless a test has installed a hook. */
export function step(name: string): void {
  if (hook !== undefined) hook(name);
}

/** Installs a hook that is called at every step, in this isolate; for tests only. */
export function setStepHook(newHook: Hook | undefined): void {
  hook = newHook;
}
