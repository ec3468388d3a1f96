// Node.js's fork, with an id in each message that says which call it answers: `node node_fork.mjs WORKLOAD`.
import { fork } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { measure } from "./measure.mjs";

if (process.send !== undefined) {
  const api = { add: (a, b) => a + b };
  process.on("message", ({ id, method, args }) => process.send({ id, value: api[method](...args) }));
} else {
  const workload = JSON.parse(process.argv[2]);
  if (workload.name.startsWith("start")) {
    await measure(workload, [], undefined, async () => {
      const { child, call } = start();
      return {
        sum: await call("add", 1, 2),
        end: () => new Promise((resolve) => (child.on("exit", resolve), child.kill("SIGKILL"))),
      };
    });
  } else {
    const { child, call } = start();
    await measure(workload, [child.pid], (a, b) => call("add", a, b), undefined);
    child.kill("SIGKILL");
  }
  process.exit();
}

function start() {
  const child = fork(fileURLToPath(import.meta.url));
  const pending = new Map();
  let next = 0;
  child.on("message", ({ id, value }) => {
    pending.get(id)(value);
    pending.delete(id);
  });
  const call = (method, ...args) =>
    new Promise((resolve) => {
      pending.set(++next, resolve);
      child.send({ id: next, method, args });
    });
  return { child, call };
}
