// One publisher and several subscribers, each a process.
import { type BroadcastPrograms, measureBroadcast } from "../broadcast/measure.ts";
import type { Side } from "../harness/workload.ts";
import { buildIceoryx2, ICEORYX2 } from "./iceoryx2.ts";

const HERE = new URL("../broadcast/", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

function deno(file: string, ...args: (string | number)[]): string[] {
  return [Deno.execPath(), "run", "--quiet", "--allow-all", "--config", CONFIG, `${HERE}${file}`, ...args.map(String)];
}

function side(id: string, title: string, programs: BroadcastPrograms, more: Partial<Side> = {}): Side {
  return {
    id: `broadcast-${id}`,
    title,
    takes: () => false, // rows name it
    run: (workload) => measureBroadcast(programs, workload),
    ...more,
  };
}

function isthmus(id: string, title: string, way: string): Side {
  const command: BroadcastPrograms["command"] = (role, name, size, ms) =>
    deno("isthmus_side.ts", role, name, size, ms, way);
  return side(id, title, { command }, { ours: true });
}

function iceoryx2(id: string, title: string, way: string): Side {
  const command: BroadcastPrograms["command"] = (
    role,
    name,
    size,
    ms,
  ) => [ICEORYX2, "broadcast", role, name, `${size}`, `${ms}`, way];
  return side(id, title, { command }, { prepare: buildIceoryx2 });
}

/** @param batch Commands that go out together. */
function redis(id: string, title: string, batch: number): Side {
  const programs: BroadcastPrograms = {
    async serve(name) {
      const process = new Deno.Command("redis-server", {
        args: [
          ...["--port", "0", "--unixsocket", socketOf(name), "--save", "", "--appendonly", "no"],
          ...["--client-output-buffer-limit", "pubsub 0 0 0"], // slow subscribers are kept
        ],
        stdout: "null",
      }).spawn();
      for (let ready = false; !ready;) {
        ready = await Deno.stat(socketOf(name)).then(() => true, () => false);
        if (!ready) await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return {
        pid: process.pid,
        async [Symbol.asyncDispose]() {
          process.kill();
          await process.status;
        },
      };
    },
    command: (role, name, size, ms) => deno("redis_side.ts", role, socketOf(name), size, ms, batch),
  };
  return side(id, title, programs, { prepare: lookForRedis, optional: true });
}

async function lookForRedis(): Promise<string | undefined> {
  try {
    await new Deno.Command("redis-server", { args: ["--version"], stdout: "null" }).output();
    return undefined;
  } catch {
    return "redis-server is not there";
  }
}

function socketOf(name: string): string {
  return `/tmp/${name}.redis`;
}

/** All of them. */
export const broadcast: readonly Side[] = [
  isthmus("copied", "Isthmus bytes, sync", "copy"),
  isthmus("async", "Isthmus bytes, async", "await"),
  isthmus("borrowed", "Isthmus bytes, sync, borrowed", "borrow"),
  isthmus("values", "Isthmus CBOR, sync", "values"),
  iceoryx2("iceoryx2-overwriting", "iceoryx2, overwriting", "overwrite"),
  iceoryx2("iceoryx2-retried", "iceoryx2, retried until delivered", "retry"),
  redis("redis", "Redis, one by one", 1),
  redis("redis-pipelined", "Redis, 64 in a pipeline", 64),
];
