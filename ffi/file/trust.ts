// Whose files a program uses. What it maps, or listens to, can harm it; so it matters who made it, and who may write.
import { asFound, integerOf } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import type { FileStatus } from "./file_status.ts";
import { check, libc } from "../libc/libc.ts";
import { ownUser } from "../process/user.ts";

/**
 * Whose cells and named channels a program uses, beside its own user's and root's.
 *
 * - `"user"`: nobody else's.
 * - `"anyone"`: everybody's. Each user of the machine can then make this program fail, and worse: see the trust model.
 * - `{ users }`: those that belong to one of these users, by their numbers.
 * - `{ group }`: those whose file belongs to this group, by its number, as only a member can make one. What is made with
 *   this option belongs to the group.
 *
 * Who may write counts as well. A file that others, or its group, may write to is refused unless the option `mode` has
 * the same bit, or this option trusts `"anyone"`, or that very group.
 *
 * @example A cell for two users
 * ```ts
 * import { IpcArc, type Trust } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const trust: Trust = { users: [1000, 1001] };
 * const name = `jobs-${crypto.randomUUID()}`;
 * using mine = IpcArc.createOrLoad(name, 0, { mode: 0o660, trust });
 * using theirs = IpcArc.load<number>(name, { mode: 0o660, trust }); // in the other user's program
 * theirs.updateSync((jobs) => jobs + 1);
 * assertEquals(mine.read(), 1);
 * ```
 */
export type Trust = "user" | "anyone" | { readonly users?: readonly number[]; readonly group?: number };

/** Numbers of users and groups; the last one means "unchanged". */
const MAX_ID = 0xffff_fffe;

/** Who is trusted, from the options of a call. */
export class Trusted {
  readonly #anyone: boolean;
  readonly #users: readonly number[];
  readonly #group: number | undefined;
  readonly #mode: number;

  /**
   * @param trust The option.
   * @param mode The permission bits that a new file would get.
   * @param what What the options are for: "Cannot use a cell".
   * @throws {TypeError} If the option is something else.
   */
  constructor(trust: Trust | undefined, mode: number, what: string) {
    const rule = '"user", "anyone", or an object with users or group';
    const named = trust === undefined || trust === "user" || trust === "anyone" ? {} : trust;
    if (typeof named !== "object" || named === null || Array.isArray(named)) {
      throw new TypeError(`${what} with the trust ${asFound(trust)}: it must be ${rule}`);
    }
    const { users = [], group } = named;
    if (!Array.isArray(users)) throw new TypeError(`${what} and trust the users ${asFound(users)}: give an array`);
    this.#anyone = trust === "anyone";
    this.#users = users.map((user) => integerOf(user, 0, MAX_ID, `${what} and trust the user`));
    this.#group = group === undefined ? undefined : integerOf(group, 0, MAX_ID, `${what} and trust the group`);
    this.#mode = mode;
  }

  /** Nobody but this user and root. */
  static readonly user: Trusted = new Trusted("user", 0o600, "");

  /** Why a file is not to be used; `undefined` if it may be. */
  refusal(status: FileStatus, path: string): string | undefined {
    if (this.#anyone) return undefined;
    const own = ownUser();
    const { uid, gid, mode } = status;
    const ofGroup = this.#group === gid;
    if (uid !== own && uid !== 0 && !ofGroup && !this.#users.includes(uid)) {
      return `"${path}" belongs to ${userText(uid)}, and this program runs as ${
        userText(own)
      }; use another name, or say ` +
        'whom you trust by the option "trust"';
    }
    const writers = mode & 0o022 & ~this.#mode & (ofGroup ? ~0o020 : -1);
    if (writers === 0) return undefined;
    const who = (writers & 0o002) !== 0 ? "everybody" : `the group ${gid}`;
    return `"${path}", which belongs to ${userText(uid)}, may be written to by ${who} (mode 0o${
      mode.toString(8)
    }); if ` +
      'that is meant, give the same mode, or say whom you trust by the option "trust"';
  }

  /**
   * Refuses a file that belongs to somebody else, or that others may write to.
   *
   * @param what Begins the message.
   * @throws {IpcError} `Permission`.
   */
  check(status: FileStatus, what: string, path: string): void {
    const refusal = this.refusal(status, path);
    if (refusal !== undefined) throw new IpcError("Permission", `${what}: ${refusal}`);
  }

  /** Whether nobody is trusted but this user and root. */
  get isUserAlone(): boolean {
    return !this.#anyone && this.#users.length === 0 && this.#group === undefined;
  }

  /** Gives a file to the group that is trusted, if there is one and it can be. */
  tryToGive(fd: number): void {
    if (this.#group !== undefined) libc().c.fchown(fd, -1, this.#group);
  }

  /** Gives a file that was just made to the group that is trusted. */
  give(fd: number, what: string): void {
    if (this.#group === undefined) return;
    const { c, errnoCell } = libc();
    check(c.fchown(fd, -1, this.#group), errnoCell[0]!, "fchown", `${what}, and give it to the group ${this.#group}`);
  }
}

/** A user, for messages. */
export function userText(uid: number): string {
  return uid === 0 ? "root" : `user ${uid}`;
}
