// `isthmus bench`: how fast this machine is, between two processes.
import config from "../../../deno.json" with { type: "json" };
import { IpcOneShotServer, type IpcSender } from "../../../channel/mod.ts";
import { IpcError } from "../../../base/error.ts";
import { type Figures, type Measurement, MEASUREMENTS } from "./measure.ts";
import { BENCH_PEER, type Job } from "./peer.ts";
import type { Command } from "../../program/command.ts";
import type { Output } from "../../format/output.ts";
import { startPeer } from "../../program/peer.ts";
import { Progress } from "../../format/progress.ts";
import { bytesText } from "../../format/text.ts";

/** Milliseconds that the second process gets for starting. */
const START = 30_000;

/** The command. */
export const bench: Command = {
  name: "bench",
  summary: "Measure for some seconds how fast channels and locks are on this machine",
  details: [
    "Starts a second process, which needs --allow-run. Messages are bytes, copied in and copied out, or a small object.",
    "sync blocks the thread and async awaits. One way is a stream of messages; a round trip is there and back, one at a",
    "time. A lock is taken and released, by one process alone or by both at once. A busy machine shows less.",
  ].join("\n"),
  flags: { json: { help: "Print one JSON document" } },
  examples: [
    ["isthmus bench", "some seconds"],
    ["isthmus bench --json | jq '.figures[] | select(.what == \"lock\")'", "for programs"],
  ],
  async run({ flags, out }): Promise<number> {
    const json = flags["json"] !== undefined;
    const figures: Record<string, unknown>[] = [];
    using progress = new Progress(out, MEASUREMENTS.length);
    await withPeer(async (jobs) => {
      for (const [done, measurement] of MEASUREMENTS.entries()) {
        const { what, of, way, measure } = measurement;
        progress.show(done, `${what}, ${of}, ${way}`);
        const found = await measure(jobs);
        figures.push({ what, of, way, ...found });
        progress.clear();
        if (!json) show(measurement, found, done, out);
      }
    });
    if (json) out.json({ version: config.version, deno: Deno.version.deno, figures });
    return 0;
  },
};

/** Runs the second process meanwhile. */
async function withPeer(act: (jobs: IpcSender<Job>) => Promise<void>): Promise<void> {
  using server = new IpcOneShotServer<IpcSender<Job>>();
  const peer = startPeer([BENCH_PEER, server.name]);
  const complaint = new Response(peer.stderr).text();
  const ended = new AbortController();
  const status = peer.status.then(() => ended.abort(new IpcError("Disconnected", "The second process ended")));
  try {
    const [first, jobs] = await server.accept({ timeout: START, signal: ended.signal });
    first.close();
    try {
      await act(jobs);
    } finally {
      jobs.close(); // which ends it
    }
  } catch (cause) {
    if (!(cause instanceof IpcError)) throw cause;
    try {
      peer.kill();
    } catch {
      // It has ended.
    }
    const why = (await complaint).trim();
    if (why === "") throw cause;
    throw new IpcError(cause.code, `Cannot measure between two processes: ${why}`, { cause });
  } finally {
    await Promise.all([status, complaint, peer.stdout.cancel()]);
  }
}

function show({ what, of, way }: Measurement, figures: Figures, index: number, out: Output): void {
  const before = MEASUREMENTS[index - 1];
  if (before?.what !== what) {
    if (before !== undefined) out.line();
    out.line(out.paint("bold", what));
  }
  out.line(`  ${way.padEnd(5)}  ${of.padEnd(9)}  ${textOf(figures)}`);
}

function textOf({ perSecond, bytesPerSecond, medianMicroseconds, p99Microseconds }: Figures): string {
  const parts: string[] = [];
  if (perSecond !== undefined) {
    parts.push(`${rateText(perSecond).padStart(8)}/s`, `${microsecondsText(1e6 / perSecond).padStart(8)} each`);
  }
  if (bytesPerSecond !== undefined) parts.push(`${bytesText(bytesPerSecond).padStart(8)}/s`);
  if (medianMicroseconds !== undefined) parts.push(`${microsecondsText(medianMicroseconds).padStart(8)} median`);
  if (p99Microseconds !== undefined) parts.push(`${microsecondsText(p99Microseconds).padStart(8)} p99`);
  return parts.join("  ");
}

function rateText(rate: number): string {
  if (rate >= 1e6) return `${(rate / 1e6).toFixed(2)} M`;
  return rate >= 1e3 ? `${(rate / 1e3).toFixed(1)} k` : rate.toFixed(0);
}

function microsecondsText(microseconds: number): string {
  return `${microseconds.toFixed(microseconds < 10 ? 2 : microseconds < 100 ? 1 : 0)} µs`;
}
