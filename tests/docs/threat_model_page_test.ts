// The threat model names tests: they exist.
import { assert } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);
const page = new URL("docs/threat-model.md", ROOT);
const mayRead = Deno.permissions.querySync({ name: "read", path: page }).state === "granted";

Deno.test("Every test that the threat model names exists", { ignore: !mayRead }, () => {
  const names = [...Deno.readTextFileSync(page).matchAll(/`([\w/]+_test\.ts)`/g)].map(([, name]) => name!);
  assert(names.length > 20);
  for (const name of new Set(names)) assert(Deno.statSync(new URL(name, ROOT)).isFile, name);
});
