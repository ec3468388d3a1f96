// What the system shares out has run out: every call says so, takes nothing from its owner, leaves nothing behind, and
// works when there is some again. Descriptors have a test of their own: full_descriptor_table_test.ts.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { libc } from "../../../ffi/libc/libc.ts";
import { processTest } from "../../support/test.ts";

const MAIN = new URL("../../support/scarce.ts", import.meta.url).pathname;

/** Runs the program behind some words of the shell. */
async function run(before: string, ...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", `${before} "$0" run --quiet -A "$@"`, Deno.execPath(), MAIN, ...args],
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
  }).output();
  const out = new TextDecoder().decode(stdout);
  assertEquals(code, 0, out + new TextDecoder().decode(stderr));
  assertStringIncludes(out, "done");
}

/** Linux does not limit the descriptors in flight of those who may override limits, as root may. */
function withoutPrivilege(): string {
  const caps = "-sys_resource,-sys_admin";
  return libc().c.geteuid() === 0 ? `exec setpriv --bounding-set=${caps} --inh-caps=${caps}` : "exec";
}

processTest(
  "With too many descriptors in flight sending says so, loses nothing, and goes on when some were taken",
  () => run(`ulimit -n 256; ${withoutPrivilege()}`, "descriptors in flight"),
);

processTest(
  "Without room in the address space it fails to map memory, says so, and leaves nothing behind",
  () => run("exec", "address space"),
);

processTest(
  "Where files may not be large, memory files cannot be made: that is said, and nothing is left behind",
  () => run("trap '' XFSZ; exec", "large files"),
);
