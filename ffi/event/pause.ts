// Blocking the thread for a moment, where nothing tells when another process has gone on.
import { libc } from "../libc/libc.ts";

const NO_FDS = new Uint8Array(8);

/** Blocks the thread for some milliseconds, or less if a signal comes. */
export function pauseSync(milliseconds: number): void {
  libc().c.poll(NO_FDS, 0n, milliseconds);
}
