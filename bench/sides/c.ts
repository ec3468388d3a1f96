// Programs in C: the least that two processes on this machine need.
import type { Side } from "../harness/workload.ts";

const SOURCE = new URL("../peers/c/floor.c", import.meta.url).pathname;
const TARGET = new URL("../peers/target/floor", import.meta.url).pathname;

async function compile(): Promise<string | undefined> {
  await Deno.mkdir(new URL(".", `file://${TARGET}`), { recursive: true });
  try {
    const { success, stderr } = await new Deno.Command("gcc", {
      args: ["-O2", "-Wall", "-Wextra", "-o", TARGET, SOURCE],
      stderr: "piped",
    }).output();
    return success ? undefined : `gcc: ${new TextDecoder().decode(stderr)}`;
  } catch {
    return "gcc is not there";
  }
}

function side(way: string, title: string, limit: number): Side {
  return {
    id: `c-${way}`,
    title,
    takes: ({ kind, payload, senders, size }) =>
      kind !== "operation" && payload === "bytes" && senders === 1 && size <= limit,
    prepare: compile,
    command: ({ kind, size, warmUp, measure }) => [TARGET, way, kind, `${size}`, `${warmUp}`, `${measure}`],
  };
}

/** All of them. */
export const c: readonly Side[] = [
  side("seqpacket", "C, SEQPACKET socket", 128 << 10),
  side("ring", "C, shared ring and futex", Infinity),
];
