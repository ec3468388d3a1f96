import { assertEquals } from "@std/assert";
import { spawn } from "../../mod.ts";
import { soon } from "../support/assert_ipc.ts";
import { SPAWNED } from "../support/spawned.ts";

/** Children before the first count, in which Deno opens what it keeps. */
const WARM = 10;

/** What this process takes: descriptors, and mappings; and the children that it has. */
function taken(): { descriptors: number; mappings: number; children: string } {
  return {
    descriptors: [...Deno.readDirSync("/proc/self/fd")].length,
    mappings: Deno.readTextFileSync("/proc/self/maps").split("\n").filter((line) => line.includes("memfd:")).length,
    children: Deno.readTextFileSync(`/proc/self/task/${Deno.pid}/children`).trim(),
  };
}

Deno.test("A thousand children one after another leave nothing", async () => {
  let before: ReturnType<typeof taken> | undefined;
  for (let i = 0; i < 1000 + WARM; i++) {
    if (i === WARM) before = taken();
    await using child = await spawn<number, number>(SPAWNED, { args: ["echo"], stdin: "null" });
    await child.send(i);
    assertEquals(await soon(child.recv()), i);
  }
  assertEquals(taken(), before);
});
