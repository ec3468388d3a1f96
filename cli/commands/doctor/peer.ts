// The second process of `isthmus doctor`: adds to a shared number at the same time as the first.
import { IpcArc, u32 } from "../../../arc/mod.ts";
import { IpcError } from "../../../base/error.ts";
import type { Command } from "../../program/command.ts";
import { startPeer } from "../../program/peer.ts";

const NAME = "doctor-peer";

/** How often each of the two processes adds one. */
export const ADDITIONS = 200_000;

/** The command that the second process runs. */
export const doctorPeer: Command = {
  name: NAME,
  summary: "The second process of doctor",
  operands: ["CELL"],
  examples: [],
  hidden: true,
  run({ operands, out }): number {
    using counter = IpcArc.load<number>(operands[0]!, { layout: u32 });
    out.line("ready"); // so that both add at the same time
    add(counter);
    return 0;
  },
};

/** Starts the second process, adds at the same time, and waits for its end. */
export async function runPeer(counter: IpcArc<number>): Promise<void> {
  const peer = startPeer([NAME, counter.name]);
  const reader = peer.stdout.getReader();
  if (!(await reader.read()).done) add(counter);
  await reader.cancel();
  const [{ success }, complaint] = await Promise.all([peer.status, new Response(peer.stderr).text()]);
  if (!success) throw new IpcError("System", `Cannot try memory between two processes: ${complaint.trim()}`);
}

function add(counter: IpcArc<number>): void {
  const { atomic } = counter;
  for (let i = 0; i < ADDITIONS; i++) atomic.add(1);
}
