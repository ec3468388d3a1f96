// Registers tests with processes in namespaces of their own that share a folder, as containers do.
import { type Folder, folderTest } from "./folder.ts";
import { CONTAINER, mayContain, type Processes } from "./processes.ts";

const possible = new Map<string, boolean>();

/**
 * A test with containers; ignored, with a word about it, where it is not permitted to make them.
 *
 * @param namespaces What it needs to make, as arguments of `unshare`.
 */
export function containerTest(
  name: string,
  body: (folder: Folder, processes: Processes) => Promise<void>,
  namespaces = CONTAINER,
): void {
  const key = namespaces.join(" ");
  if (!possible.has(key)) possible.set(key, mayContain(namespaces));
  if (possible.get(key)) return folderTest(name, body);
  console.log(`Ignored, as it needs the right to make namespaces (root, and unshare): ${name}`);
  Deno.test({ name, ignore: true, fn: () => {} });
}
