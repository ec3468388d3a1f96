// The threat model names tests: they exist.
import { assert } from "@std/assert";

const page = new URL("../docs/threat-model.md", import.meta.url);
const mayRead = Deno.permissions.querySync({ name: "read", path: page }).state === "granted";

Deno.test("Every test that the threat model names exists", { ignore: !mayRead }, () => {
  const names = [...Deno.readTextFileSync(page).matchAll(/`([\w/]+_test\.ts)`/g)].map(([, name]) => name!);
  assert(names.length > 20);
  for (const name of new Set(names)) assert(Deno.statSync(new URL(name, import.meta.url)).isFile, name);
});
