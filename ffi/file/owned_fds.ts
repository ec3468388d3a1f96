// The numbers of the descriptors that this isolate owns, so that they can be closed when it ends and the process does not.
// A byte each, and no reference to their owners: these may be forgotten, and are closed by that.
import { noteAdoptedFiles, ownedDescriptors } from "../process/isolate_notes.ts";
import { libc } from "../libc/libc.ts";
import { atTheEnd } from "../process/open_things.ts";

let owned: Uint8Array | undefined;
let highest = 0;

function begin(): Uint8Array {
  atTheEnd(closeAll);
  return ownedDescriptors();
}

/** A descriptor has an owner from now on. */
export function own(fd: number): void {
  owned ??= begin();
  if (fd > highest) highest = fd;
  owned[fd] = 1; // nowhere, if the number is one of those that are not noted
}

/**
 * A descriptor is to be closed, or is another's from now on.
 *
 * @returns Whether it is open: `false` after all were closed, when its number may be that of something else.
 */
export function release(fd: number): boolean {
  if (owned === undefined || fd >= owned.length) return true;
  const isOpen = owned[fd] === 1;
  owned[fd] = 0;
  return isOpen;
}

function closeAll(): void {
  if (owned === undefined) return;
  noteAdoptedFiles();
  // Not the standard streams, on which the program may still say something.
  for (let fd = 3; fd <= highest; fd++) if (release(fd)) libc().c.close(fd);
}
