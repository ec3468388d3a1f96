// Tells of descriptors that are about to be closed. Imports nothing, so that both who closes and who waits can import it.

let told: ((fd: number) => void) | undefined;

/** Calls a function before a descriptor that has an owner is closed, or given away. */
export function noteClosing(tell: (fd: number) => void): void {
  told = tell;
}

/** The descriptor goes. */
export function closing(fd: number): void {
  told?.(fd);
}
