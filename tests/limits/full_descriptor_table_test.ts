// No descriptor is free: every call says so, takes nothing from its owner, and works when there is room again.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { processTest } from "../support/test.ts";

const program = (name: string) => new URL(`../support/${name}.ts`, import.meta.url).pathname;
const MAIN = program("full_table"), RINGLESS = program("full_table_ringless");

const fails = (what: string) => `it fails to ${what}, loses nothing, and succeeds later`;
const CASES = {
  nap: "a doorbell is waited for briefly all the same",
  ...Object.fromEntries(["create", "send", "receive", "wait", "accept"].map((what) => [what, fails(what)])),
};

for (const [what, happens] of Object.entries(CASES)) {
  processTest(`With a full descriptor table ${happens}`, () => run(MAIN, what));
}

processTest("With a full descriptor table a channel without a ring loses nothing, on either side", () => run(RINGLESS));

async function run(...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", 'ulimit -n 128; exec "$0" run --quiet -A "$@"', Deno.execPath(), ...args],
    // Nor does Deno itself look for a newer one, for which it needs descriptors.
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
  }).output();
  const out = new TextDecoder().decode(stdout);
  assertEquals(code, 0, out + new TextDecoder().decode(stderr));
  assertStringIncludes(out, "done");
}
