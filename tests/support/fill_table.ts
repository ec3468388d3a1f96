// Fills the descriptor table of this process.
import type { IpcFd } from "../../mod.ts";
import { createDoorbell } from "../../ffi/event/doorbell.ts";

const [spare, unneeded] = createDoorbell();
unneeded.close(); // or the garbage collector does, in the middle of a count

/** Fills the table but for `free` descriptors while `act` runs; checks that `act` leaves none open. */
export async function withRoomFor(free: number, act: () => unknown): Promise<void> {
  const filling: IpcFd[] = [];
  try {
    for (;;) filling.push(spare.clone());
  } catch {
    // full
  }
  for (let i = 0; i < free; i++) filling.pop()!.close();
  try {
    await act();
  } finally {
    for (const fd of filling) fd.close();
  }
}
