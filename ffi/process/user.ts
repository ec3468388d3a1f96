// Users and groups.
import { readTextFile } from "../file/directory.ts";
import { libc } from "../libc/libc.ts";

/** The effective user of this process, by number. */
export function ownUser(): number {
  return libc().c.geteuid();
}

/** Where the names of users and groups stand, one a line. */
const LISTS = { user: "/etc/passwd", group: "/etc/group" } as const;

/** The file that lists all users, or all groups, of this machine. */
export function listOf(kind: "user" | "group"): string {
  return LISTS[kind];
}

/** The number of a user or of a group, by its name; `undefined` if this machine lists none of that name. */
export function numberOf(kind: "user" | "group", name: string): number | undefined {
  for (const line of (readTextFile(LISTS[kind]) ?? "").split("\n")) {
    const [found, , number] = line.split(":");
    if (name !== "" && found === name && /^\d+$/.test(number ?? "")) return Number(number);
  }
  return undefined;
}
