// What a hop over NATS costs, beside the same without it: `deno task bench:bridge`. Server, bridges and both ends share this
// machine, so its processors are what is measured, and no network.
import { bytesChannel, expose, IpcBytesReceiver, IpcBytesSender, IpcServer, remote } from "../../../mod.ts";
import { Machines, PATIENCE, until } from "./machines.ts";

await using machines = new Machines();
const server = await machines.server();
const SOON = { timeout: PATIENCE };

/** The middle of some figures. */
const median = (figures: number[]) => figures.sort((a, b) => a - b)[figures.length >> 1]!;

/** Milliseconds from one end to the other, one message at a time. */
async function latency(sender: IpcBytesSender, receiver: IpcBytesReceiver, count: number): Promise<number> {
  const message = new Uint8Array(64), times: number[] = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    sender.sendSync(message);
    await receiver.recv(SOON);
    times.push(performance.now() - began);
  }
  return median(times);
}

/** Messages in a second, one behind the other. */
async function throughput(
  sender: IpcBytesSender,
  receiver: IpcBytesReceiver,
  size: number,
  count: number,
): Promise<number> {
  const message = new Uint8Array(size), began = performance.now();
  const sending = (async () => {
    for (let i = 0; i < count; i++) await sender.send(message, SOON);
  })();
  for (let i = 0; i < count; i++) await receiver.recv(SOON);
  await sending;
  return count / (performance.now() - began) * 1000;
}

const near = `${machines.folder}/near`, far = `${machines.folder}/far`;
await machines.bridge(server, "send", near, "jobs", "--capacity", "33554432");
await machines.bridge(server, "receive", "jobs", far, "--capacity", "33554432");
const over = [IpcBytesSender.open(near), IpcBytesReceiver.create(far)] as const;
const direct = bytesChannel({ capacity: 1 << 25 });

await latency(...over, 200);
const sizes: [size: number, count: number][] = [[64, 100_000], [1024, 50_000], [65_536, 2000], [1 << 20, 100]];
for (let round = 1; round <= 3; round++) {
  console.log(`round ${round}`);
  console.log(
    `  latency of 64 B: ${(await latency(...direct, 500)).toFixed(3)} ms here, ${
      (await latency(...over, 500)).toFixed(2)
    } ms over NATS`,
  );
  for (const [size, count] of sizes) {
    const here = await throughput(...direct, size, count), there = await throughput(...over, size, count);
    const rate = (perSecond: number) => `${Math.round(perSecond)}/s, ${(perSecond * size / 1e6).toFixed(1)} MB/s`;
    console.log(`  ${size} B: ${rate(here)} here; ${rate(there)} over NATS`);
  }
}
for (const end of [...over, ...direct]) end.close();

const api = { add: (a: number, b: number) => a + b };
using program = new IpcServer<unknown, unknown>({ path: `${machines.folder}/program` });
const serving = (async () => {
  const calls: Promise<void>[] = [];
  for await (const end of program) calls.push(expose(end, api));
  await Promise.all(calls);
})();
const back = await machines.bridge(server, "serve", program.name, "math");
await until("the program is reached", () => back.said.includes("calls of"));
await machines.bridge(server, "call", "math", `${machines.folder}/front`);
const ends = [program.name, `${machines.folder}/front`].map((path) => IpcServer.connect<unknown, unknown>(path));
const [here, there] = ends.map((end) => remote<typeof api>(end)) as [
  ReturnType<typeof remote<typeof api>>,
  ReturnType<typeof remote<typeof api>>,
];
for (let round = 1; round <= 3; round++) {
  const times: string[] = [];
  for (const calculator of [here, there]) {
    const figures: number[] = [];
    for (let i = 0; i < 500; i++) {
      const began = performance.now();
      await calculator.add(i, 1);
      figures.push(performance.now() - began);
    }
    const began = performance.now();
    await Promise.all(Array.from({ length: 5000 }, (_, i) => calculator.add(i, 1)));
    times.push(
      `${median(figures).toFixed(3)} ms, ${Math.round(5000 / (performance.now() - began) * 1000)}/s many at a time`,
    );
  }
  console.log(`calls, round ${round}: ${times[0]} here; ${times[1]} over NATS`);
}
for (const end of ends) end.close();
await back.end("SIGTERM"); // or the program would wait for it
program.close();
await serving;
