// A short piece of what `deno task test:fuzz` does at length. If it fails, you find the decisions that make it again in the message:
// `checkMessage(Choices.again([…]))`.
import { assertEquals } from "@std/assert";
import { checkMessage, checkValue, wrongWith } from "../fuzz/checks.ts";
import { fuzz, type Report } from "../fuzz/fuzz.ts";
import { agreeWithPython, hasPython } from "../fuzz/python.ts";
import { judge } from "../fuzz/well_formed.ts";
import { Choices, shrink } from "../support/choices.ts";
import { differenceOf } from "../support/same.ts";
import { test } from "../support/test.ts";

function expectNone(reports: readonly Report[]): void {
  if (reports.length === 0) return;
  throw new Error(
    reports.map(({ name, seed, finding, taken }) =>
      `${name}, seed ${seed}: ${finding.wrong}\n  with ${finding.with}\n  decisions ${JSON.stringify(taken)}`
    ).join("\n"),
  );
}

test("Values that are made by chance arrive as structuredClone() makes them, 400 of them", () => {
  expectNone(fuzz("values", checkValue, { count: 400, seed: 1, most: 3 }));
});

test("Messages that nobody should send are read or refused by one set of rules, in bounds, 15,000 of them", () => {
  expectNone(fuzz("messages", checkMessage, { count: 15_000, seed: 1, most: 3 }));
});

const why = hasPython() ? undefined : 'Python with "cbor2" is not here';
if (why !== undefined) console.log(`Ignored, as ${why}: messages without tags, as Python takes them`);
else {
  test("Python's cbor2 and this package agree on which messages are well-formed, 2000 of them", async () => {
    assertEquals(await agreeWithPython(2000, 1), []);
  });
}

test("What judges the readers can tell good from bad, and a failure is made small", () => {
  assertEquals(judge(Uint8Array.of(0x81)).wellFormed, false);
  assertEquals(judge(Uint8Array.fromHex("9f01ff")), { wellFormed: true, utf8: true, tagged: false, depth: 2 });
  assertEquals(judge(Uint8Array.fromHex("61ff")).utf8, false);
  assertEquals(wrongWith(Uint8Array.fromHex("9f01ff")), undefined);
  for (const [a, e] of [[0, -0], [[, 1], [undefined, 1]], [new Map([[1, 2]]), new Map([[1, 3]])], [Object(1), 1]]) {
    assertEquals(differenceOf(a, e) === undefined, false, Deno.inspect([a, e]));
  }
  const fails = (choices: Choices) => {
    const list = Array.from({ length: choices.below(50) }, () => choices.below(1000));
    return list.some((n) => n > 700);
  };
  let seed = 1;
  while (!fails(Choices.of(seed))) seed++;
  const choices = Choices.of(seed);
  fails(choices);
  assertEquals(shrink(choices.taken, fails), [1, 701]);
});
