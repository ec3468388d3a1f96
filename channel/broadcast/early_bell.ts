// Subscribers that came before their topic: each makes a doorbell beside where it will be, and who makes the topic rings
// all of them. Who may not make one there looks by the clock.
import { BellListener } from "../../ffi/event/doorbell.ts";
import { createNamedBell, ringByName } from "../../ffi/event/named_bell.ts";
import { listDirectory } from "../../ffi/file/directory.ts";
import { isPipeWithoutReader } from "../../ffi/file/open.ts";
import { Trusted } from "../../ffi/file/trust.ts";
import { unlinkFile } from "../../ffi/file/unlink.ts";
import { earlyPath } from "./topic_name.ts";

/** Bells that a publisher rings; with more of them some look by themselves, as when it dies in between. */
const MOST = 4096;

/** Attempts to make one: somebody may remove it before it is opened, as nobody reads it then. */
const ATTEMPTS = 3;

/** The doorbell of one subscriber. */
export class EarlyBell {
  readonly #path: string;
  readonly bell: BellListener;

  private constructor(path: string, bell: BellListener) {
    this.#path = path;
    this.bell = bell;
  }

  /**
   * Makes one, which does not keep the process alive. The topic must be looked for once more afterwards.
   *
   * @param path Where the topic will be.
   * @param onRing Called by the event loop when it was made, and perhaps for nothing.
   * @returns `undefined` if it cannot be had.
   */
  static make(path: string, onRing: () => void): EarlyBell | undefined {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const at = earlyPath(path) + crypto.randomUUID().slice(0, 8);
      const fd = createNamedBell(at, 0o600, Trusted.user);
      if (fd === undefined) continue;
      const early = new EarlyBell(at, new BellListener(fd));
      try {
        early.bell.listen(onRing);
        return early;
      } catch {
        early.close(); // no descriptor left
      }
    }
    return undefined;
  }

  close(): void {
    this.bell.close();
    unlinkFile(this.#path);
  }
}

/** The doorbells beside a path, in the folder that it is in. */
function earlyBells(path: string): string[] {
  const slash = path.lastIndexOf("/") + 1, folder = path.slice(0, slash), bells = earlyPath(path.slice(slash));
  return listDirectory(folder).filter((file) =>
    file.startsWith(bells) && /^[0-9a-f]{8}$/.test(file.slice(bells.length))
  )
    .map((file) => folder + file);
}

/** Rings all who wait for a topic that is there now; removes what dead ones have left. */
export function ringEarly(path: string): void {
  for (const bell of earlyBells(path).slice(0, MOST)) {
    const rung = ringByName(bell);
    if (rung !== undefined) rung.close();
    else removeIfAbandoned(bell);
  }
}

/** Removes a doorbell that a killed subscriber has left. */
function removeIfAbandoned(bell: string): boolean {
  return isPipeWithoutReader(bell) && unlinkFile(bell) === 0;
}

/**
 * The path of the topic that a doorbell waits for which a killed subscriber has left; `undefined` if the file is something
 * else, or is in use.
 *
 * @param remove Whether to remove it.
 */
export function abandonedBellOf(file: string, remove: boolean): string | undefined {
  const id = /[0-9a-f]{8}$/.exec(file), topic = file.slice(0, -earlyPath("").length - 8);
  if (id === null || earlyPath(topic) + id[0] !== file) return undefined;
  return (remove ? removeIfAbandoned(file) : isPipeWithoutReader(file)) ? topic : undefined;
}
