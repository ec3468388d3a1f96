// Comlink over a Deno Worker, or a Worker alone for the start: `deno run comlink.mjs FOLDER WORKLOAD`.
import { measure } from "./measure.mjs";

const [folder, text] = Deno.args;
const workload = JSON.parse(text);
const library = new URL(`file://${folder}/node_modules/comlink/dist/esm/comlink.mjs`).href;
const newWorker = (kind) => {
  return new Worker(new URL(`./comlink_worker.mjs?${kind}=${encodeURIComponent(library)}`, import.meta.url), {
    type: "module",
  });
};

if (workload.name.startsWith("start")) {
  await measure(workload, [], undefined, async () => {
    const worker = newWorker("plain");
    const sum = await new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.postMessage([1, 2]);
    });
    return { sum, end: () => worker.terminate() };
  });
} else {
  const { wrap } = await import(library);
  const worker = newWorker("comlink");
  const api = wrap(worker);
  await measure(workload, [], (a, b) => api.add(a, b), undefined);
  worker.terminate();
}
