// Clients that have connected to a server and not introduced themselves yet. Each takes a descriptor, and nobody knows
// whether it ever will: so there are only so many at a time.
import { descriptorLimit } from "../../ffi/file/resources.ts";
import type { UnixSocket } from "../../ffi/socket/unix_socket.ts";

/** Guests at a time, where this process may have descriptors in plenty; and which part of its table they may take. */
const MOST_GUESTS = 256, SHARE_OF_TABLE = 8;

/** The guests of a server. */
export class Guests {
  /** In the order in which they came, and the user of each. */
  readonly #users = new Map<UnixSocket, number>();
  readonly #most = Math.max(4, Math.min(MOST_GUESTS, Math.floor(descriptorLimit().soft / SHARE_OF_TABLE)));

  /**
   * One more. If there are too many, the one that has been silent for longest of the user who has most is dropped: honest
   * clients introduce themselves as they connect, and nobody is dropped for what another user does.
   *
   * @returns The one that was dropped.
   */
  add(connection: UnixSocket, user: number): UnixSocket | undefined {
    this.#users.set(connection, user);
    if (this.#users.size <= this.#most) return undefined;
    const counts = new Map<number, number>();
    for (const owner of this.#users.values()) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    const most = Math.max(...counts.values());
    for (const [guest, owner] of this.#users) {
      if (counts.get(owner) !== most) continue;
      this.delete(guest);
      guest.close();
      return guest;
    }
    return undefined;
  }

  /** It has introduced itself, or is gone. */
  delete(connection: UnixSocket): void {
    this.#users.delete(connection);
  }

  /** Drops all. */
  close(): void {
    for (const connection of [...this.#users.keys()]) connection.close();
    this.#users.clear();
  }
}
