// One run of ZeroMQ: `node zeromq.mjs FOLDER WORKLOAD`; the other process is `node zeromq.mjs FOLDER WORKLOAD ADDRESS`.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { deserialize, serialize } from "node:v8";
import { measureAsync } from "../harness/loop.mjs";

const [folder, workloadText, address] = process.argv.slice(2);
const { Pair } = createRequire(`${folder}/`)("zeromq");
const workload = JSON.parse(workloadText);
const { kind, payload, size } = workload;
const smallObject = (id) => ({ id, name: "isthmus", ok: true, pos: [1.5, -2.25] });
const bytes = new Uint8Array(size);

if (address === undefined) await measure();
else await assist();

async function measure() {
  const temporary = mkdtempSync(`${tmpdir()}/zeromq-`);
  const socket = new Pair();
  await socket.bind(`ipc://${temporary}/socket`);
  const args = [fileURLToPath(import.meta.url), folder, workloadText, `ipc://${temporary}/socket`];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  let sum = 0;
  const read = payload === "bytes" ? ([message]) => sum += message[0] + message[message.length - 1] : ([message]) => {
    const { id, pos } = deserialize(message);
    sum += id + pos[0] + pos[1];
  };
  const operation = kind === "round-trip"
    ? async () => {
      bytes[0]++;
      // It keeps what it is given until it is sent, so each message has bytes of its own.
      await socket.send(payload === "bytes" ? bytes.slice() : serialize(smallObject(1)));
      read(await socket.receive());
    }
    : async () => read(await socket.receive());
  console.log(JSON.stringify(await measureAsync(workload, [child.pid], operation)));
  child.kill("SIGKILL");
  rmSync(temporary, { recursive: true });
  process.exit();
}

async function assist() {
  const socket = new Pair();
  socket.connect(address);
  if (kind === "round-trip") { for await (const message of socket) await socket.send(message); }
  let id = 0;
  for (;;) {
    bytes[0]++;
    await socket.send(payload === "bytes" ? bytes.slice() : serialize(smallObject(++id & 0xffff)));
  }
}
