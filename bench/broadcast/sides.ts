// What is measured.
import { cargoBuild } from "../harness/cargo.ts";

/** One way to publish and subscribe. */
export interface BroadcastSide {
  readonly title: string;
  /** Builds it; says what is missing if it cannot be had. */
  prepare?(): Promise<string | undefined>;
  /** What runs beside the processes, for one measurement. */
  serve?(name: string): Promise<AsyncDisposable>;
  /** The program that publishes, or subscribes. */
  command(role: "publish" | "subscribe", name: string, size: number, milliseconds: number): readonly string[];
}

const HERE = new URL(".", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
const ICEORYX = new URL("../peers/iceoryx2", import.meta.url).pathname;
const TARGET = new URL("../peers/target", import.meta.url).pathname;

function deno(file: string, ...args: (string | number)[]): string[] {
  return [Deno.execPath(), "run", "--quiet", "--allow-all", "--config", CONFIG, `${HERE}${file}`, ...args.map(String)];
}

function isthmus(title: string, way: string): BroadcastSide {
  return { title, command: (role, name, size, ms) => deno("isthmus_side.ts", role, name, size, ms, way) };
}

const iceoryx2: BroadcastSide = {
  title: "iceoryx2",
  prepare: () => cargoBuild(ICEORYX, TARGET),
  command: (role, name, size, ms) => [`${TARGET}/release/broadcast-iceoryx2`, role, name, `${size}`, `${ms}`],
};

/** @param batch Commands that go out together. */
function redis(title: string, batch: number): BroadcastSide {
  return {
    title,
    async prepare() {
      try {
        await new Deno.Command("redis-server", { args: ["--version"], stdout: "null" }).output();
        return undefined;
      } catch {
        return "redis-server is not there";
      }
    },
    async serve(name) {
      const process = new Deno.Command("redis-server", {
        args: [
          ...["--port", "0", "--unixsocket", socketOf(name), "--save", "", "--appendonly", "no"],
          ...["--client-output-buffer-limit", "pubsub 0 0 0"], // nobody is dropped for being slow
        ],
        stdout: "null",
      }).spawn();
      for (let ready = false; !ready;) {
        ready = await Deno.stat(socketOf(name)).then(() => true, () => false);
        if (!ready) await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return {
        async [Symbol.asyncDispose]() {
          process.kill();
          await process.status;
        },
      };
    },
    command: (role, name, size, ms) => deno("redis_side.ts", role, socketOf(name), size, ms, batch),
  };
}

function socketOf(name: string): string {
  return `/tmp/${name}.redis`;
}

/** All of them. */
export const sides: readonly BroadcastSide[] = [
  isthmus("isthmus, copied", "copy"),
  isthmus("isthmus, awaited", "await"),
  isthmus("isthmus, in place", "borrow"),
  iceoryx2,
  redis("Redis, one by one", 1),
  redis("Redis, 64 at a time", 64),
];
