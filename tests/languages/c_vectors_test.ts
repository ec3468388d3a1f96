// What clients/c/isthmus.h says of the test vectors is what the index says.
import { assertEquals } from "@std/assert";
import { compile, compiler } from "../support/c_driver.ts";
import { patience } from "../support/patience.ts";
import { test } from "../support/test.ts";
import { vectors } from "../vectors/make.ts";
import type { Vector } from "../vectors/memory.ts";
import { isForHere, placed } from "../vectors/placed.ts";

/** Lines that the program prints. */
function said({ kind, layout, says }: Vector, name: string, path: string): string[] {
  const operands = {
    ring: [path, ...says.slice(1)],
    sender: [path],
    cell: layout === undefined ? [name] : [name, layout],
    topic: [],
  };
  const { code, stdout, stderr } = new Deno.Command("timeout", {
    args: [`${patience(90_000) / 1000}`, compile("clients/c/tests/vectors.c"), kind, ...operands[kind]],
  }).outputSync();
  if (code !== 0) throw new Error(`The C program ended with ${code}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

for (const kind of ["ring", "sender", "cell"]) {
  const name = `C says of each ${kind} of the test vectors what is to be said`;
  if (compiler === undefined) {
    Deno.test({ name, ignore: true, fn() {} });
    continue;
  }
  test(name, () => {
    for (const [vector, memory] of vectors()) {
      if (vector.kind !== kind || !isForHere(vector)) continue;
      placed(vector, memory, (name, path) => {
        assertEquals(said(vector, name, path), vector.says, `${vector.name}: ${vector.about}`);
      });
    }
  });
}
