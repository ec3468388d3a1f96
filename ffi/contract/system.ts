// What the rooms above use of an operating system: eight concepts, one interface each.
import type { HandleCarrier } from "./carrier.ts";
import type { Doorbells } from "./doorbell.ts";
import type { Identities } from "./identity.ts";
import type { FixedMemory } from "./memory.ts";
import type { CellMutexes } from "./mutex.ts";
import type { Names } from "./names.ts";
import type { Presence } from "./presence.ts";
import type { ThreadEnds } from "./thread_end.ts";

/** A back end. `tests/ffi/contract/` says by tests what each part must do. */
export interface System {
  /** Memory that cannot change its size. */
  readonly memory: FixedMemory;
  readonly doorbells: Doorbells;
  /** The carrier of handles. */
  readonly carrier: HandleCarrier;
  /** Listen, connect, credentials, publish. */
  readonly names: Names;
  /** Identity and liveness. */
  readonly identities: Identities;
  /** Who holds a thing. */
  readonly presence: Presence;
  /** The mutex of a cell. */
  readonly mutexes: CellMutexes;
  /** The end of a thread. */
  readonly threadEnds: ThreadEnds;
}
