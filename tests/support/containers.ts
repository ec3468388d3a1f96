// Registers tests with processes in namespaces of their own that share a folder, as containers do.
import { type Folder, folderTest } from "./folder.ts";
import { mayContain, type Processes } from "./processes.ts";

const possible = mayContain();

/** A test with containers; ignored, with a word about it, where it is not permitted to make them. */
export function containerTest(name: string, body: (folder: Folder, processes: Processes) => Promise<void>): void {
  if (possible) return folderTest(name, body);
  console.log(`Ignored, as it needs the right to make namespaces (root, and unshare): ${name}`);
  Deno.test({ name, ignore: true, fn: () => {} });
}
