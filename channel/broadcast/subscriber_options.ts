// What a subscriber may say when it begins.
import { asFound, modeOf, optionsOf } from "../../base/arguments.ts";
import { type Trust, Trusted } from "../../ffi/file/trust.ts";
import { Attendance } from "./attendance.ts";

/**
 * Where a subscriber begins, and whose topic it reads.
 *
 * @example What was published before
 * ```ts
 * import { IpcPublisher, IpcSubscriber, type SubscriberOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: SubscriberOptions = { from: "oldest" };
 * const name = `news-${crypto.randomUUID()}`;
 * using news = IpcPublisher.open<string>(name);
 * news.publish("before");
 * using late = IpcSubscriber.open<string>(name, options);
 * assertEquals(late.recvSync(), "before");
 * ```
 */
export interface SubscriberOptions {
  /**
   * `"new"`: what is published from now on. `"oldest"`: with the oldest message that has not been overwritten yet.
   *
   * @default "new"
   */
  from?: "new" | "oldest";
  /**
   * Whose topic is used, if another user has made it: see {@linkcode Trust}. Another user's is refused without it.
   *
   * @default "user"
   */
  trust?: Trust;
  /**
   * Who may publish to it, as permission bits: a topic that more than this user may write to is refused unless the same
   * bits are given here.
   *
   * @default 0o600
   */
  mode?: number;
}

/** Subscribes to a topic. */
export function attend(name: string, options: SubscriberOptions | undefined): Attendance {
  const what = `Cannot subscribe to ${asFound(name)}`;
  const { from = "new", trust, mode } = optionsOf(options, what);
  if (from !== "new" && from !== "oldest") {
    throw new TypeError(`${what} from ${asFound(from)}: it must be "new" or "oldest"`);
  }
  return new Attendance(name, from, new Trusted(trust, modeOf(mode, "a topic"), what));
}
