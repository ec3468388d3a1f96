// Values and messages without end: `deno task test:fuzz --count 1000000 --seed 1`. What it finds is made as small as it can be, and
// shown with the decisions that make it again.
import { parseArgs } from "@std/cli";
import { agreeWithPython, hasPython } from "./python.ts";
import { checkMessage, checkValue } from "./checks.ts";
import { fuzz, type Report } from "./fuzz.ts";

const { count, seed, values } = parseArgs(Deno.args, {
  string: ["count", "seed", "values"],
  default: { count: "1000000", seed: "1", values: "" },
});
const messages = Number(count), first = Number(seed);
const failures: Report[] = [];
const run = (name: string, check: Parameters<typeof fuzz>[1], count: number) => {
  const began = performance.now();
  const found = fuzz(name, check, { count, seed: first, most: 20, progress: (line) => console.log(line) });
  failures.push(...found);
  console.log(
    `${name}: ${count} from seed ${first}, ${found.length} failures, ${
      ((performance.now() - began) / 1000).toFixed(0)
    } s`,
  );
};
run("values", checkValue, values === "" ? Math.ceil(messages / 20) : Number(values));
run("messages", checkMessage, messages);
if (hasPython()) {
  const differences = await agreeWithPython(Math.ceil(messages / 10), first);
  for (const line of differences) console.log(line);
  console.log(`python: ${Math.ceil(messages / 10)} from seed ${first}, ${differences.length} differences`);
  if (differences.length > 0) Deno.exitCode = 1;
} else {
  console.log('python: left out, as there is no python3 with "cbor2"');
}
for (const { name, seed, finding, taken } of failures) {
  console.log(
    `\n${name}, seed ${seed}: ${finding.wrong}\n  with ${finding.with}\n  decisions ${JSON.stringify(taken)}`,
  );
}
if (failures.length > 0) Deno.exitCode = 1;
