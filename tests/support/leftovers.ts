// What a test leaves behind: descriptors, files, child processes. Compared before and after.

/** Milliseconds that the event loop gets for closing what was let go of. */
const GRACE = 5_000;

const maySee = (["read", "run", "env"] as const).every((name) =>
  Deno.permissions.querySync({ name }).state === "granted"
);

/** Descriptors that carry something of this package. Deno's own kinds (epoll, eventfd, files) come and go with it. */
const OURS = /^(pipe:|socket:|\/memfd:)/;

let warm = false;

/** Compares the state of the process with what it was when watching began. */
export class Leftovers {
  readonly #before: Set<string>;

  private constructor(before: Set<string>) {
    this.#before = before;
  }

  /** Begins to watch. Without the permissions to look, nothing is compared. */
  static async watch(): Promise<Leftovers> {
    if (maySee && !warm) {
      // The first child and the first Unix socket make Deno open descriptors that it keeps.
      await new Deno.Command("true").output();
      warm = true;
    }
    return new Leftovers(look());
  }

  /** Throws if there is more now than when watching began. */
  async expectNone(): Promise<void> {
    const until = performance.now() + GRACE;
    for (;;) {
      const left = [...look()].filter((item) => !this.#before.has(item));
      if (left.length === 0) return;
      if (performance.now() > until) throw new Error(`Left behind: ${left.join(", ")}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Everything of this process, and every file by the package's name, that could be left behind. */
export function look(): Set<string> {
  const found = new Set<string>();
  if (!maySee) return found;
  for (const link of descriptorsOf("self")) if (OURS.test(link)) found.add(link);
  for (const folder of ["/dev/shm", Deno.env.get("TMPDIR") ?? "/tmp"]) {
    for (const { name } of Deno.readDirSync(folder)) if (/isthmus/i.test(name)) found.add(`${folder}/${name}`);
  }
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    const children = Deno.readTextFileSync(`/proc/self/task/${name}/children`);
    for (const pid of children.split(" ").filter(Boolean)) found.add(`process ${pid}`);
  }
  return found;
}

/** Where the descriptors of a process lead; pipes, sockets and memory files by their inode. */
export function descriptorsOf(pid: number | "self"): string[] {
  const links: string[] = [];
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    try {
      const path = `/proc/${pid}/fd/${name}`;
      const link = Deno.readLinkSync(path);
      links.push(link.startsWith("/memfd:") ? `${link} ${Deno.statSync(path).ino}` : link);
    } catch {
      // The descriptor of this very listing is closed by now.
    }
  }
  return links;
}
