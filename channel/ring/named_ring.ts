// A ring that has a name, as its ends use it; who opens it owns the files: see channel/named/file.ts.
import type { IpcFd } from "../../ffi/file/fd.ts";
import type { RingMemory } from "./memory.ts";

/** One attachment to a ring in files that have names. */
export interface NamedRing {
  readonly path: string;
  readonly memory: RingMemory;
  /** Rung by producers. Both directions of it are open, so that neither end ever sees the end of the other. */
  readonly bell: IpcFd;
  /** Rung by the consumer for all who wait for room; open in both directions, too. */
  readonly room: IpcFd;
  /** Holds the shared lock. */
  readonly lock: IpcFd;
  /**
   * Gives the attachment up; releasing the memory is up to the caller.
   *
   * @param unused Asked once nobody else is attached, or can attach: whether to remove the files. Those of another user,
   * in a folder where only their owner may remove them, stay, and serve the next holder.
   */
  leave(unused?: () => boolean): void;
}
