// Who may connect to a server.
import { asFound } from "../../base/arguments.ts";
import { ownUser } from "../../ffi/process/user.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";

/** A client that has connected has this long to introduce itself, in milliseconds; it takes microseconds. */
export const HANDSHAKE_TIMEOUT = 2000;

/** Whether a peer runs as the same user as this process. */
function sameUser(peer: PeerCredentials): boolean {
  return peer.uid === ownUser();
}

/**
 * What a server asks about each client.
 *
 * @param allow The option of that name.
 * @throws {TypeError} If it is not a function. What is returned throws one if `allow` answers by anything but a boolean: a
 * promise, of an `async` function, is truthy whatever it resolves with.
 */
export function admissionBy(
  allow: ((peer: PeerCredentials) => boolean) | undefined,
): (peer: PeerCredentials) => boolean {
  if (allow === undefined) return sameUser;
  if (typeof allow !== "function") {
    throw new TypeError(`Cannot start a server with the "allow" ${asFound(allow)}: it must be a function`);
  }
  return (peer) => {
    const answer: unknown = allow(peer);
    if (typeof answer === "boolean") return answer;
    if (answer instanceof Promise) answer.catch(() => {}); // what it rejects with is no news beside the mistake
    throw new TypeError(
      `Cannot decide about process ${peer.pid} of user ${peer.uid}: "allow" returned ${asFound(answer)}, and must ` +
        "return true or false, at once; the process was not admitted",
    );
  };
}
