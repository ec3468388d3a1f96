// ZeroMQ in Node.js: a PAIR of sockets over ipc.
import type { Side } from "../harness/workload.ts";

const VERSION = "6.8.0";
const FOLDER = new URL("../peers/target/node", import.meta.url).pathname;
const MAIN = new URL("./zeromq.mjs", import.meta.url).pathname;

async function install(): Promise<string | undefined> {
  try {
    // It brings its own compiled part, so no script of it has to run.
    const { success, stderr } = await new Deno.Command("npm", {
      args: ["install", "--ignore-scripts", "--no-save", "--no-package-lock", "--prefix", FOLDER, `zeromq@${VERSION}`],
      stdout: "null",
      stderr: "piped",
    }).output();
    return success ? undefined : `npm: ${new TextDecoder().decode(stderr)}`;
  } catch {
    return "npm is not there";
  }
}

/** Objects are packed by V8, as `fork` does it. */
export const zeromq: Side = {
  id: "zeromq",
  title: "ZeroMQ in Node.js, PAIR",
  takes: ({ kind, payload, senders }) => kind !== "operation" && payload !== "frame" && senders === 1,
  prepare: install,
  command: (workload) => ["node", MAIN, FOLDER, JSON.stringify(workload)],
};
