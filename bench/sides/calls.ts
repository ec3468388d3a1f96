// Calls, and the start of a process or a thread that answers one.
import type { Side, Workload } from "../harness/workload.ts";

/** Comlink comes from npm, into the folder of the other programs that are measured beside this package. */
const VERSION = "4.4.2", FOLDER = new URL("../peers/target/comlink", import.meta.url).pathname;

const file = (name: string) => new URL(`../calls/${name}`, import.meta.url).pathname;
const deno = (...args: string[]) => [Deno.execPath(), "run", "--allow-all", "--quiet", ...args];

function side(id: string, title: string, command: (workload: Workload) => string[], more: Partial<Side>): Side {
  return { id: `calls-${id}`, title, takes: () => false, /* rows name it */ command, ...more };
}

/** All of them. */
export const calls: readonly Side[] = [
  side(
    "isthmus",
    "Isthmus expose() and remote(), spawn()",
    (workload) => deno(file("isthmus.ts"), JSON.stringify(workload)),
    { ours: true },
  ),
  side(
    "comlink",
    "Comlink over a Deno Worker, new Worker (threads)",
    (workload) => deno(file("comlink.mjs"), FOLDER, JSON.stringify(workload)),
    { prepare: installComlink },
  ),
  side(
    "node-fork",
    "Node.js fork, correlation ids",
    (workload) => ["node", file("node_fork.mjs"), JSON.stringify(workload)],
    { prepare: () => tried("node", ["--version"]) },
  ),
];

function installComlink(): Promise<string | undefined> {
  const how = ["--ignore-scripts", "--no-save", "--no-package-lock", "--prefix", FOLDER];
  return tried("npm", ["install", ...how, `comlink@${VERSION}`]);
}

/** Why a program cannot be run, if so. */
async function tried(program: string, args: string[]): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).output();
    return success ? undefined : `${program}: ${new TextDecoder().decode(stderr)}`;
  } catch {
    return `${program} is not there`;
  }
}
