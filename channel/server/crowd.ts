// The clients that a server has open, so that where descriptors run short one process, or another user, does not get all.
import { ownUser } from "../../ffi/process/user.ts";
import { descriptorLimit } from "../../ffi/file/resources.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";

/** Clients of one process that are always few. */
const FEW = 8;

/** Descriptors that a client takes, about. */
const OF_A_CLIENT = 8;

/** What knows whether it is closed. */
interface End {
  readonly closed: boolean;
}

/** The open clients of a server. */
export class Crowd {
  #clients: { readonly peer: PeerCredentials; readonly end: WeakRef<End> }[] = [];
  #lookAt = 64;

  /** One more. */
  add(peer: PeerCredentials, end: End): void {
    this.#clients.push({ peer, end: new WeakRef(end) });
    if (this.#clients.length < this.#lookAt) return;
    this.#forgetClosed();
    this.#lookAt = 2 * this.#clients.length + 64;
  }

  /**
   * Whether a process has so few clients that it gets one more of the last descriptors. Another user's processes together
   * do not get more than half of what there is.
   */
  hasFew(peer: PeerCredentials): boolean {
    this.#forgetClosed();
    let ofProcess = 0, ofUser = 0;
    for (const { peer: { pid, uid } } of this.#clients) {
      if (uid === peer.uid) ofUser++;
      if (pid === peer.pid && uid === peer.uid) ofProcess++;
    }
    if (ofProcess >= FEW) return false;
    return peer.uid === ownUser() || ofUser < descriptorLimit().soft / OF_A_CLIENT / 2;
  }

  #forgetClosed(): void {
    this.#clients = this.#clients.filter(({ end }) => end.deref()?.closed === false);
  }
}
