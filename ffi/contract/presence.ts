// Concept: presence, who holds a thing.
import type { IpcFd } from "../file/fd.ts";
import type { FileStatus } from "../file/file_status.ts";

/**
 * Who holds a file, as the system knows it: what a holder has is given back when it ends, however that happens. A holder is
 * not a process but a handle that was opened by itself; its clones are the same holder.
 */
export interface Presence {
  /** A holder of its own for the same file; `undefined` where the system does not allow one. */
  holder(file: number): IpcFd | undefined;
  /** Holds the file with others, or alone, or says at once that it cannot be. */
  tryHold(holder: number, mode: "shared" | "alone"): boolean;
  /** Takes one numbered place of the file, or says at once that another holder has it. */
  tryTakePlace(holder: number, place: number): boolean;
  /** Gives a place back. */
  leavePlace(holder: number, place: number): void;
  /** Whether another holder has a place. */
  isPlaceTaken(holder: number, place: number): boolean;
  /** How many places of a range other holders have. */
  countPlacesTaken(holder: number, start: number, end: number): number;
  /** Ids of the processes that hold the file as a whole, as far as this user may see them. */
  holders(file: Pick<FileStatus, "device" | "inode">): number[];
}
