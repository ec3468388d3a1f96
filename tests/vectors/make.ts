// Writes the test vectors: `deno run --allow-read --allow-write tests/vectors/make.ts`. A test makes them anew and
// compares, so that the files are what the script says.
import { cells } from "./cells.ts";
import { type Made, pack } from "./memory.ts";
import { rings } from "./rings.ts";
import { topics } from "./topics.ts";

/** All vectors, in the order of the index. */
export function vectors(): Made[] {
  return [...rings(), ...cells(), ...topics()];
}

/** The index, which the formatter may lay out. */
export function indexOf(made: readonly Made[]): string {
  return `[\n${made.map(([vector]) => `  ${JSON.stringify(vector)}`).join(",\n")}\n]\n`;
}

if (import.meta.main) {
  const folder = new URL("./data/", import.meta.url);
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await Deno.mkdir(folder);
  const made = vectors();
  for (const [{ name }, memory] of made) await Deno.writeFile(new URL(`${name}.bin`, folder), pack(memory));
  await Deno.writeTextFile(new URL("index.json", folder), indexOf(made));
}
