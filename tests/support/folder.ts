// A folder for the files of one test: looked through, and removed when the test ends.
import { processTest } from "./test.ts";
import type { Processes } from "./processes.ts";

/** Turns of the event loop for closing what was let go of. */
const GRACE = 100;

/** Memory with names: that is where channels belong. Programs may not be started from there. */
const MEMORY = "/dev/shm";

/** A fresh folder. */
export class Folder {
  /** Its path. */
  readonly path: string;
  /** The path of a channel in it. */
  readonly channel: string;

  constructor(parent: string = MEMORY) {
    this.path = Deno.makeTempDirSync({ dir: parent, prefix: "isthmus-test-" });
    this.channel = `${this.path}/channel`;
  }

  /** The names of the files in it, sorted. */
  files(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name).sort();
  }

  /** What this process has open in it. */
  opened(): string[] {
    const links: string[] = [];
    for (const { name } of Deno.readDirSync("/proc/self/fd")) {
      try {
        links.push(Deno.readLinkSync(`/proc/self/fd/${name}`));
      } catch {
        // The descriptor of this very listing is closed by now.
      }
    }
    const mapped = Deno.readTextFileSync("/proc/self/maps").split("\n").map((line) => line.slice(line.indexOf("/")));
    return [...links, ...mapped].filter((link) => link.startsWith(this.path));
  }

  /** Throws if something in it is still open or mapped. */
  async expectNothingOpen(): Promise<void> {
    for (let turn = 0; turn < GRACE && this.opened().length > 0; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    if (this.opened().length > 0) throw new Error(`Left open: ${this.opened().join(", ")}`);
  }

  /** Removes it with all that is in it. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

const mayWrite = Deno.permissions.querySync({ name: "write" }).state === "granted";

/** A test with a folder of its own, and processes; ignored, with a word about it, where it is not permitted. */
export function folderTest(name: string, body: (folder: Folder, processes: Processes) => void | Promise<void>): void {
  if (!mayWrite) {
    console.log(`Ignored, as it needs --allow-write: ${name}`);
    Deno.test({ name, ignore: true, fn: () => {} });
    return;
  }
  processTest(name, async (processes) => {
    using folder = new Folder();
    await body(folder, processes);
    await folder.expectNothingOpen();
  });
}
