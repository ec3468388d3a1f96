// Web Locks between processes.
import { asFound, optionsOf } from "../../base/arguments.ts";
import { giveWay, mustGiveWay } from "../../base/event_loop.ts";
import { timeoutError, timeoutOf, type WaitOptions } from "../../base/wait.ts";
import { type LockMode, LockRequest } from "./lock_request.ts";
import { listLocks, type LockInfo } from "./query.ts";

/**
 * A lock that is held, as its callback gets it.
 *
 * @example Learning that the last holder died
 * ```ts
 * import { type IpcLock, locks } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const name = `ledger-${crypto.randomUUID()}`;
 * await locks.request(name, (lock: IpcLock) => {
 *   if (lock.ownerDied) console.log("checking what it left half-way");
 *   assertEquals([lock.name, lock.mode, lock.ownerDied], [name, "exclusive", false]);
 * });
 * ```
 */
export interface IpcLock {
  /** The name that was requested. */
  readonly name: string;
  /** How it is held. */
  readonly mode: LockMode;
  /**
   * Whether a process died while it held the lock, and this is the first to hold it since: what it was about to do may be
   * half done.
   */
  readonly ownerDied: boolean;
  /** Id of that process, as it numbered itself. */
  readonly deadOwner?: number;
}

/**
 * How a lock is requested.
 *
 * @example Readers that do not exclude one another
 * ```ts
 * import { type LockRequestOptions, locks } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const reading: LockRequestOptions = { mode: "shared", timeout: 1000 };
 * const name = `settings-${crypto.randomUUID()}`;
 * const both = await locks.request(name, reading, () => locks.request(name, reading, () => "read twice at a time"));
 * assertEquals(both, "read twice at a time");
 * ```
 */
export interface LockRequestOptions {
  /**
   * `"exclusive"`: held alone. `"shared"`: held together with others that share. Requests are granted in their order,
   * so one that shares waits behind one that does not.
   *
   * @default "exclusive"
   */
  mode?: LockMode;
  /** Whether the callback is called with `null` at once if the lock cannot be had now. @default false */
  ifAvailable?: boolean;
  /** Ends the wait for the lock: the promise rejects with `signal.reason`. Nothing once it is held. */
  signal?: AbortSignal;
  /** Milliseconds to wait for the lock at most; 0 does not wait. Running out is an `IpcError` with code `Timeout`. */
  timeout?: number;
}

/**
 * Locks by name, between processes and Workers of one user: what `navigator.locks` is for the tabs of one origin.
 *
 * A lock is held until the callback's promise is settled, and given to the next one then, also if the holder dies, is
 * killed, or ends without having given it back; the next one is told by {@linkcode IpcLock.ownerDied}. A request in the
 * callback for a lock that it excludes waits for itself: give it a time-out.
 *
 * @example A function that takes them, so that a test can give it others
 * ```ts
 * import { type IpcLocks, locks } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const deploy = (by: IpcLocks) => by.request("doc-deploy", () => "deployed");
 * assertEquals(await deploy(locks), "deployed");
 * ```
 */
export interface IpcLocks {
  /**
   * Waits for a lock, and calls a function while it is held.
   *
   * @typeParam R What the callback returns.
   * @param name Text of 1 to 200 bytes, in which "/" and "%" count as three.
   * @param callback Called with the lock; it is held until what this returns is settled.
   * @returns What the callback returned.
   * @throws {IpcError} `Permission` if another user has made a lock of that name; `Incompatible` if the name is something
   * else's; `System` if 256 requests wait for it, or there are no descriptors or memory left.
   * @throws {TypeError} If the name or the callback is wrong.
   */
  request<R>(name: string, callback: (lock: IpcLock) => R | PromiseLike<R>): Promise<R>;
  /**
   * The same for a lock that need not be there: the callback gets `null` if it cannot be had now.
   *
   * @typeParam R What the callback returns.
   * @param name The name of the lock.
   * @param options With `ifAvailable`.
   * @param callback Called with the lock, or with `null`.
   * @returns What the callback returned.
   */
  request<R>(
    name: string,
    options: LockRequestOptions & { ifAvailable: true },
    callback: (lock: IpcLock | null) => R | PromiseLike<R>,
  ): Promise<R>;
  /**
   * The same with options.
   *
   * @typeParam R What the callback returns.
   * @param name The name of the lock.
   * @param options How it is held, and how long to wait for it.
   * @param callback Called with the lock; with `ifAvailable`, `null` in its place if it cannot be had now.
   * @returns What the callback returned.
   * @throws {IpcError} `Timeout`, and as without options.
   * @throws {TypeError} If the options are wrong.
   */
  request<R>(name: string, options: LockRequestOptions, callback: (lock: IpcLock) => R | PromiseLike<R>): Promise<R>;
  /**
   * Who holds locks and who waits for them now, in all processes of this user.
   *
   * @returns The requests that hold a lock, and those that wait, in the order in which they get it.
   */
  query(): Promise<{ held: LockInfo[]; pending: LockInfo[] }>;
}

type Callback = (lock: IpcLock | null) => unknown;

/** Tries of a request that must not wait, while another is just getting its ticket. */
const TRIES = 20;

async function request(name: string, given: LockRequestOptions | Callback, last?: Callback): Promise<unknown> {
  const callback = last ?? given;
  const what = `Cannot request the lock ${asFound(name)}`;
  if (typeof callback !== "function") {
    throw new TypeError(`${what} with the callback ${asFound(callback)}: it must be one`);
  }
  const options = optionsOf(typeof given === "function" ? undefined : given, what);
  const { mode = "exclusive", ifAvailable = false, signal, timeout } = options;
  if (mode !== "exclusive" && mode !== "shared") {
    throw new TypeError(`${what} in the mode ${asFound(mode)}: it must be "exclusive" or "shared"`);
  }
  if (typeof ifAvailable !== "boolean") {
    throw new TypeError(`${what} with ifAvailable ${asFound(ifAvailable)}: it must be true or false`);
  }
  const wait: WaitOptions = {
    ...(signal === undefined ? {} : { signal }),
    ...(timeout === undefined ? {} : { timeout }),
  };
  const limit = timeoutOf(wait);
  signal?.throwIfAborted();
  const wanted = new LockRequest(name, mode); // at once: its place in the queue is that of the call
  try {
    if (mustGiveWay()) {
      await giveWay();
      signal?.throwIfAborted();
    }
    let granted = wanted.tryGrant();
    if (ifAvailable || limit === 0) {
      for (let i = 0; granted === "soon" && i < TRIES; i++) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        granted = wanted.tryGrant();
      }
      if (granted !== true) {
        wanted.end();
        if (!ifAvailable) throw timeoutError(`get the lock "${name}"`, 0);
        return await callback(null);
      }
    } else if (granted !== true) await wanted.wait(wait);
    const { deadOwner } = wanted;
    return await callback({ name, mode, ownerDied: deadOwner !== 0, ...(deadOwner > 0 ? { deadOwner } : {}) });
  } finally {
    wanted.end();
  }
}

// deno-lint-ignore require-await -- as navigator.locks.query(): what is wrong is a rejection
async function query(): Promise<{ held: LockInfo[]; pending: LockInfo[] }> {
  const all = listLocks();
  return { held: all.flatMap(({ held }) => held), pending: all.flatMap(({ pending }) => pending) };
}

/**
 * Locks by name, between processes: see {@linkcode IpcLocks}.
 *
 * @example One deployment at a time
 * ```ts
 * import { locks } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const name = `deploy-${crypto.randomUUID()}`;
 * const order: string[] = [];
 * await Promise.all(["first", "second"].map((who) =>
 *   locks.request(name, { timeout: 10_000 }, async () => {
 *     order.push(`${who} begins`);
 *     await new Promise((resolve) => setTimeout(resolve, 5));
 *     order.push(`${who} ends`);
 *   })
 * ));
 * assertEquals(order, ["first begins", "first ends", "second begins", "second ends"]);
 * ```
 */
export const locks: IpcLocks = Object.freeze({ request: request as IpcLocks["request"], query });
