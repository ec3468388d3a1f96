// Which processes have locked a file with `flock`, as the kernel lists it: looked up without touching the lock.
import { readTextFile } from "./directory.ts";
import type { FileStatus } from "./file_status.ts";

/**
 * Ids of the processes that hold a `flock` on a file, as far as this user may see them; one that holds two is there
 * twice.
 */
export function lockHolders({ device, inode }: Pick<FileStatus, "device" | "inode">): number[] {
  // 7: FLOCK  ADVISORY  READ 4711 00:1a:42 0 EOF
  const place = ` ${device}:${inode} `;
  const holders: number[] = [];
  for (const line of (readTextFile("/proc/locks") ?? "").split("\n")) {
    if (!line.includes("FLOCK") || !line.includes(place)) continue;
    const pid = Number(/ (\d+) [0-9a-f]+:[0-9a-f]+:\d+ /.exec(line)?.[1]);
    if (pid > 0) holders.push(pid);
  }
  return holders;
}
