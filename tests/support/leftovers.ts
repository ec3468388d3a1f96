// What a test leaves behind: descriptors and child processes, compared before and after. Files are not looked for: what
// else runs on the machine makes and removes them as well, and a channel that had a file would have it open.

/**
 * Turns of the event loop for closing what was let go of. Turns, not seconds: given time, the garbage collector would
 * close what was forgotten, and hide it.
 */
const GRACE = 20;

const maySee = (["read", "run"] as const).every((name) => Deno.permissions.querySync({ name }).state === "granted");

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
    let left: string[] = [];
    for (let turn = 0; turn < GRACE; turn++) {
      left = [...look()].filter((item) => !this.#before.has(item));
      if (left.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    throw new Error(`Left behind: ${left.join(", ")}`);
  }
}

/**
 * Has Deno open the two sockets that it keeps for signals. Otherwise it may do so in the middle of what is compared, as was
 * seen with Deno 2.9.5 for arm64.
 */
export function openSignalSockets(): void {
  const listener = () => {};
  Deno.addSignalListener("SIGUSR2", listener);
  Deno.removeSignalListener("SIGUSR2", listener);
}

/** Everything of this process that could be left behind. */
export function look(): Set<string> {
  const found = new Set<string>();
  if (!maySee) return found;
  for (const link of descriptorsOf("self")) if (OURS.test(link)) found.add(link);
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    for (const pid of childrenOf(name)) found.add(`process ${pid}`);
  }
  return found;
}

function childrenOf(thread: string): string[] {
  try {
    return Deno.readTextFileSync(`/proc/self/task/${thread}/children`).split(" ").filter(Boolean);
  } catch {
    return []; // the thread has ended since it was listed
  }
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
