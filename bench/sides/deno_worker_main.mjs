// One run of postMessage between threads: `deno_worker_main.mjs WORKLOAD`; the Worker runs this file too.
import { measureAsync } from "../harness/loop.mjs";
import { Inbox } from "./credit.mjs";

const inWorker = typeof WorkerGlobalScope !== "undefined";
const smallObject = (id) => ({ id, name: "isthmus", ok: true, pos: [1.5, -2.25] });

if (inWorker) {
  let workload, bytes, id = 0;
  self.onmessage = ({ data }) => {
    if (workload === undefined) {
      workload = data;
      bytes = new Uint8Array(workload.size);
    } else if (workload.kind === "round-trip") self.postMessage(data);
    else {
      for (let i = 0; i < data; i++) {
        bytes[0]++;
        self.postMessage(workload.payload === "bytes" ? bytes : smallObject(++id & 0xffff));
      }
    }
  };
} else {
  const workload = JSON.parse(Deno.args[0]);
  const { kind, payload, size } = workload;
  const worker = new Worker(import.meta.url, { type: "module" });
  worker.postMessage(workload);
  const bytes = new Uint8Array(size);
  let sum = 0;
  const read = payload === "bytes"
    ? (message) => sum += message[0] + message[message.length - 1]
    : ({ id, pos }) => sum += id + pos[0] + pos[1];
  let operation;
  if (kind === "round-trip") {
    let resolve;
    worker.onmessage = ({ data }) => resolve(data);
    operation = async () => {
      bytes[0]++;
      const answer = new Promise((r) => resolve = r);
      worker.postMessage(payload === "bytes" ? bytes : smallObject(1));
      read(await answer);
    };
  } else {
    const inbox = new Inbox(size, (count) => worker.postMessage(count));
    worker.onmessage = ({ data }) => inbox.put(data);
    operation = async () => read(await inbox.take());
  }
  console.log(JSON.stringify(await measureAsync(workload, [], operation)));
  Deno.exit();
}
