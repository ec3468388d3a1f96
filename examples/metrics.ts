// Four processes send samples to one collector, which shows their sums by HTTP. At SIGTERM the processes send what they
// have left, and the collector takes in all of it: nothing is lost.
//
//   deno run --allow-ffi --allow-run --allow-net examples/metrics.ts 8080
//   curl http://127.0.0.1:8080/
import { channel, type IpcSender, parent, spawn } from "@isthmus/ipc";

const SOURCES = 4;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

type Sample = { source: number; value: number } | { source: number; sent: number };

/** Measures something, until it is told to stop. */
async function measure(): Promise<void> {
  let stopping = false, sent = 0;
  const stop = () => void (stopping = true);
  for (const signal of SIGNALS) Deno.addSignalListener(signal, stop); // first: the collector may stop us once it knows us
  using collector = parent<never, IpcSender<Sample>>();
  using samples = await collector.recv();
  while (!stopping) {
    await samples.send({ source: Deno.pid, value: performance.now() });
    sent++;
    if (sent % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await samples.send({ source: Deno.pid, sent }); // by which it is known whether all has come
  for (const signal of SIGNALS) Deno.removeSignalListener(signal, stop);
}

async function collect(port: number, most: number): Promise<void> {
  const [sender, samples] = channel<Sample>();
  const children = await Promise.all(
    Array.from(
      { length: SOURCES },
      () => spawn<IpcSender<Sample>, never>(new URL(import.meta.url), { args: ["source"] }),
    ),
  );
  const stop = () => children.forEach((child) => child.kill("SIGTERM"));
  for (const signal of SIGNALS) Deno.addSignalListener(signal, stop);
  await Promise.all(children.map((child) => child.send(sender)));
  sender.close(); // the last copies are in the children: the loop below ends with them

  const sums = new Map<number, { samples: number; sum: number; sent?: number }>();
  const server = Deno.serve({ hostname: "127.0.0.1", port }, () => Response.json(Object.fromEntries(sums)));
  let received = 0;
  for await (const sample of samples) {
    const found = sums.get(sample.source) ?? { samples: 0, sum: 0 };
    sums.set(sample.source, found);
    if ("sent" in sample) {
      found.sent = sample.sent;
    } else {
      found.samples++;
      found.sum += sample.value;
      if (++received === most) stop();
    }
  }
  samples.close();
  await server.shutdown();
  for (const signal of SIGNALS) Deno.removeSignalListener(signal, stop);
  for (const child of children) await child[Symbol.asyncDispose]();
  const whole = [...sums.values()].filter(({ samples, sent }) => samples === sent).length;
  console.log(`${received} samples of ${sums.size} processes, ${whole} of them complete`);
  if (whole < SOURCES) Deno.exitCode = 1; // one was killed before it could send the rest
}

if (Deno.args[0] === "source") await measure();
else await collect(Number(Deno.args[0]) || 0, Deno.args[0] === "--demo" ? 10_000 : Infinity);
