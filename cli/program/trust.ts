// The flag that says whose cells and channels a command uses.
import type { Trust } from "../../arc/mod.ts";
import { listOf, numberOf } from "../../ffi/inspect.ts";
import { type Call, type Flag, UsageError } from "./command.ts";

/** For commands that attach to what another user may have made. Those that only look, or remove, need none. */
export const TRUST_FLAG: Readonly<Record<"trust", Flag>> = {
  trust: {
    help: 'Use what these users made, by name or number; "group:NAME" for a group, "anyone"',
    value: "USER,...",
  },
};

/**
 * Whom a command was told to trust.
 *
 * @throws {UsageError} If there is no such user or group.
 */
export function trustOf({ flags }: Pick<Call, "flags">): { trust?: Trust } {
  const text = flags["trust"];
  if (text === undefined) return {};
  if (text === true || text === "user" || text === "anyone") return { trust: text === "anyone" ? text : "user" };
  const group = /^group:(.+)$/.exec(text)?.[1];
  if (group !== undefined) return { trust: { group: idOf(group, "group") } };
  return { trust: { users: text.split(",").map((user) => idOf(user, "user")) } };
}

function idOf(name: string, kind: "user" | "group"): number {
  const id = /^\d{1,9}$/.test(name) ? Number(name) : numberOf(kind, name);
  if (id !== undefined) return id;
  throw new UsageError(`"--trust" names the ${kind} "${name}", and ${listOf(kind)} has none of that name`);
}
