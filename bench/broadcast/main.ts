/**
 * Measures one publisher and several subscribers, beside iceoryx2 (from crates.io; needs cargo) and Redis's pub/sub over a
 * Unix socket (`redis-server`, if it is there), round by round.
 *
 * ```sh
 * deno task bench:broadcast
 * deno task bench:broadcast --only='64 B' --rounds=5
 * ```
 *
 * A publisher publishes for some time as fast as it can; nobody holds it up but where the side does so itself, as Redis
 * does. What counts is what each subscriber received in a second. Subscribers of the sides that overwrite miss the rest.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { summarise } from "../harness/statistics.ts";
import { type BroadcastSide, sides } from "./sides.ts";
import { type Figures, measure } from "./measure.ts";

const flags = parseArgs(Deno.args, {
  string: ["only", "sides", "rounds", "ms", "json"],
  unknown: (argument: string) => {
    console.error(`Unknown argument "${argument}": there are --only, --sides, --rounds, --ms and --json`);
    Deno.exit(2);
  },
});
const rounds = Number(flags["rounds"] ?? 3), milliseconds = Number(flags["ms"] ?? 1000);
const only = new RegExp(flags["only"] ?? ""), onlySides = new RegExp(flags["sides"] ?? "");

const rows = [64, 1 << 20].flatMap((size) =>
  [1, 4].map((subscribers) => ({
    size,
    subscribers,
    title: `${size === 64 ? "64 B" : "1 MiB"} to ${subscribers} subscriber${subscribers === 1 ? "" : "s"}`,
  }))
).filter(({ title }) => only.test(title));

const wanted: BroadcastSide[] = [];
for (const side of sides.filter(({ title }) => onlySides.test(title))) {
  const missing = await side.prepare?.();
  if (missing === undefined) wanted.push(side);
  else console.error(`Left out: ${side.title}: ${missing}`);
}

const results: Record<string, unknown>[] = [];
for (const { size, subscribers, title } of rows) {
  const found = new Map<BroadcastSide, Figures[]>(wanted.map((side) => [side, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [side, figures] of found) figures.push(await measure(side, size, subscribers, milliseconds));
  }
  console.log(`${title}, messages a second and subscriber: median (least … most) · published · missed`);
  for (const [{ title: sideTitle }, figures] of found) {
    const received = summarise(figures.map((figure) => figure.received));
    const published = summarise(figures.map((figure) => figure.published)).median;
    const missed = Math.max(0, 1 - received.median / published);
    console.log(
      `  ${sideTitle.padEnd(24)} ${rate(received.median).padStart(10)}  (${rate(received.least)} … ${
        rate(received.most)
      }) · ${rate(published)} · ${(100 * missed).toFixed(0)} %`,
    );
    results.push({ title, side: sideTitle, size, subscribers, received, published });
  }
  console.log();
}
if (flags["json"]) Deno.writeTextFileSync(flags["json"], JSON.stringify({ versions: Deno.version, results }, null, 1));

function rate(perSecond: number): string {
  return perSecond >= 1e6 ? `${(perSecond / 1e6).toFixed(2)} M` : `${(perSecond / 1e3).toFixed(1)} k`;
}
