// A million messages with a bridge killed every second: `deno task test:bridge:million`, or fewer with a number behind it.
import { passWithKills } from "./kills.ts";
import { Machines } from "./machines.ts";

const count = Number(Deno.args[0] ?? 1_000_000);
await using machines = new Machines();
const server = await machines.server();
const near = `${machines.folder}/near`, far = `${machines.folder}/far`;
const bridges = [
  await machines.bridge(server, "send", near, "jobs"),
  await machines.bridge(server, "receive", "jobs", far),
];
const { received, kills, seconds } = await passWithKills([near], far, count, bridges, 0, 1000);
console.log(`${received} messages, each once and in order, with ${kills} kills, in ${seconds.toFixed(0)} s`);
