// A ring of sensor readings in shared memory, written by one process and plotted by another while it runs.
//
//   deno run --allow-ffi --allow-run examples/arc_sensors.ts
//
// The layout is that of a C struct: a program in C or Python could be the writer, or plot.
import { array, f32, f64, IpcArc, struct, u32 } from "@isthmus/ipc";

const LENGTH = 60, READINGS = 240, EVERY = 5 /* ms */;
const layout = struct({
  written: u32, // readings so far; the next one goes to written % LENGTH
  celsius: array(f32, LENGTH),
  time: array(f64, LENGTH),
});

const [role, name] = Deno.args;
if (role === undefined) await plot();
else await measure(name!);

async function measure(name: string): Promise<void> {
  using ring = IpcArc.load(name, { layout });
  for (let i = 0; i < READINGS; i++) {
    {
      using guard = await ring.acquire();
      const { celsius, time, written } = guard.value; // shared memory itself
      celsius[written % LENGTH] = 20 + 6 * Math.sin(i / 9) + Math.random();
      time[written % LENGTH] = Date.now();
      guard.value.written++;
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY));
  }
}

async function plot(): Promise<void> {
  const empty = { written: 0, celsius: new Float32Array(LENGTH), time: new Float64Array(LENGTH) };
  using ring = IpcArc.create(`example-sensors-${Deno.pid}`, empty, { layout });
  const sensor = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-ffi", import.meta.filename!, "sensor", ring.name],
  }).spawn();
  const live = Deno.stdout.isTerminal();
  let drawn = 0;
  for await (const now of ring.watch()) {
    const last = now.written === READINGS;
    if (!live && !last) continue; // into a file goes the last picture alone
    const picture = draw(now.celsius, now.written);
    if (live && drawn++ > 0) console.log(`\x1b[${picture.length + 1}A`);
    console.log(picture.join("\n"));
    if (last) break;
  }
  await sensor.status;
}

/** A chart of ten lines. */
function draw(celsius: Float32Array, written: number): string[] {
  const low = 14, high = 28, rows = 10;
  const recent = Array.from({ length: Math.min(written, LENGTH) }, (_, i) => {
    return celsius[(Math.max(0, written - LENGTH) + i) % LENGTH]!;
  });
  const lines: string[] = [];
  for (let row = rows - 1; row >= 0; row--) {
    const from = low + (high - low) * row / rows;
    const bars = recent.map((value) => {
      const filled = Math.max(0, Math.min(8, Math.round((value - from) / ((high - low) / rows) * 8)));
      return " ▁▂▃▄▅▆▇█"[filled];
    });
    lines.push(`${from.toFixed(1).padStart(5)} ┤${bars.join("").padEnd(LENGTH)}`);
  }
  lines.push(`${written} readings, the last ${recent.at(-1)?.toFixed(1)} °C`.padEnd(LENGTH));
  return lines;
}
