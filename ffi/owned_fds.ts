// The numbers of the descriptors that this isolate owns, so that they can be closed when it ends and the process does not.
// A byte each, and no reference to their owners: these may be forgotten, and are closed by that.
import { libc } from "./libc.ts";
import { atTheEnd } from "./open_things.ts";

/** Higher numbers are not noted: no system is set up to give them out. */
const HIGHEST = (1 << 20) - 1;

let owned = new Uint8Array(256);
let closesAtTheEnd = false;

/** A descriptor has an owner from now on. */
export function own(fd: number): void {
  if (fd >= owned.length) {
    if (fd > HIGHEST) return;
    const larger = new Uint8Array(Math.max(2 * owned.length, fd + 1));
    larger.set(owned);
    owned = larger;
  }
  owned[fd] = 1;
  if (closesAtTheEnd) return;
  closesAtTheEnd = true;
  atTheEnd(closeAll);
}

/**
 * A descriptor is to be closed, or is another's from now on.
 *
 * @returns Whether it is open: `false` after all were closed, when its number may be that of something else.
 */
export function release(fd: number): boolean {
  if (fd > HIGHEST) return true;
  const isOpen = owned[fd] === 1;
  owned[fd] = 0;
  return isOpen;
}

function closeAll(): void {
  // Not the standard streams, on which the program may still say something.
  for (let fd = 3; fd < owned.length; fd++) if (release(fd)) libc().c.close(fd);
}
