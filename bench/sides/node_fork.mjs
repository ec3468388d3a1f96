// One run of child_process.fork: `node node_fork.mjs WORKLOAD`.
import { fork } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { measureAsync } from "../harness/loop.mjs";
import { Inbox } from "./credit.mjs";

const workload = JSON.parse(process.argv[2]);
const { kind, payload, size } = workload;
const smallObject = (id) => ({ id, name: "isthmus", ok: true, pos: [1.5, -2.25] });
const bytes = new Uint8Array(size);

if (process.send === undefined) await measure();
else assist();

async function measure() {
  const child = fork(fileURLToPath(import.meta.url), [process.argv[2]], { serialization: "advanced" });
  let sum = 0;
  const read = payload === "bytes"
    ? (message) => sum += message[0] + message[message.length - 1]
    : ({ id, pos }) => sum += id + pos[0] + pos[1];
  let operation;
  if (kind === "round-trip") {
    let resolve;
    child.on("message", (message) => resolve(message));
    operation = async () => {
      bytes[0]++;
      const answer = new Promise((r) => resolve = r);
      child.send(payload === "bytes" ? bytes : smallObject(1));
      read(await answer);
    };
  } else {
    const inbox = new Inbox(size, (count) => child.send(count));
    child.on("message", (message) => inbox.put(message));
    operation = async () => read(await inbox.take());
  }
  console.log(JSON.stringify(await measureAsync(workload, [child.pid], operation)));
  child.kill("SIGKILL");
  process.exit();
}

function assist() {
  if (kind === "round-trip") {
    process.on("message", (message) => process.send(message));
    return;
  }
  let id = 0;
  process.on("message", (count) => {
    for (let i = 0; i < count; i++) {
      bytes[0]++;
      process.send(payload === "bytes" ? bytes : smallObject(++id & 0xffff));
    }
  });
}
