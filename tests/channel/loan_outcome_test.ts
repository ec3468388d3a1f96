import { assertEquals, assertThrows } from "@std/assert";
import { bytesChannel, IpcBytesReceiver, IpcBytesSender, type LoanReceipt } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { type Folder, folderTest } from "../support/folder.ts";
import type { Processes } from "../support/processes.ts";
import { test } from "../support/test.ts";

const OPTIONS = { capacity: 65_536 };

interface Job {
  readonly path: string;
  readonly loans: number;
  readonly commit: number[];
}

/** Reserves, commits some of them, and dies. */
export function committer({ path, loans, commit }: Job, self: Self): void {
  const sender = IpcBytesSender.open(path, OPTIONS);
  const out = Array.from({ length: loans }, () => sender.reserveSync(1));
  self.say(out.map(({ receipt }) => receipt));
  for (const i of commit) out[i]!.commit();
  Deno.kill(Deno.pid, "SIGKILL");
}

async function killed({ channel: path }: Folder, { start }: Processes, loans: number, commit: number[]) {
  const child = await start(import.meta.url, committer, { path, loans, commit });
  const receipts = await child.said<LoanReceipt[]>();
  await child.status;
  return receipts;
}

folderTest("A killed sender's loans are known as sent or not, before they are received and after", async (
  folder,
  processes,
) => {
  const receipts = await killed(folder, processes, 4, [0, 1]);
  const sender = IpcBytesSender.open(folder.channel);
  const outcomes = () => receipts.map((receipt) => sender.outcome(receipt));
  assertEquals(outcomes(), ["sent", "sent", "not sent", "not sent"]);
  using receiver = IpcBytesReceiver.create(folder.channel);
  assertEquals(receiver.recvSync().length, 1);
  assertEquals(outcomes(), ["sent", "sent", "not sent", "not sent"]);
  sender.sendSync(new Uint8Array(2)); // behind the gap
  assertEquals(receiver.recvSync().length, 1);
  assertEquals((await soon(receiver.recv())).length, 2);
  assertEquals(outcomes(), ["sent", "sent", "not sent", "not sent"]);
  for (let i = 0; i < 5000; i++) { // round and round
    sender.sendSync(new Uint8Array(100));
    receiver.recvSync();
  }
  assertEquals(outcomes(), ["sent", "sent", "not sent", "not sent"]);
  sender.close();
});

folderTest("After as many gaps as are kept the outcome is unknown", async (folder, processes) => {
  const commit = Array.from({ length: 17 }, (_, i) => 2 * i + 1); // a gap before each
  const [receipt] = await killed(folder, processes, 34, commit);
  const sender = IpcBytesSender.open(folder.channel, OPTIONS);
  using receiver = IpcBytesReceiver.create(folder.channel);
  const known: string[] = [];
  for (const _ of commit) {
    assertEquals((await soon(receiver.recv())).length, 1);
    known.push(sender.outcome(receipt!));
  }
  assertEquals(known, [...Array(15).fill("not sent"), "unknown", "unknown"]);
  sender.close();
});

test("A receipt is checked, and a loan that was committed has none", () => {
  const [sender, receiver] = bytesChannel();
  const loan = sender.reserveSync(3);
  loan.commit();
  assertIpcErrorSync("Closed", () => loan.receipt);
  assertThrows(() => sender.outcome({ position: -1, gaps: 0 }), RangeError, "Cannot look up a loan");
  assertThrows(() => sender.outcome({ position: 1 } as LoanReceipt), TypeError, "Cannot look up a loan");
  assertThrows(() => sender.outcome(undefined as unknown as LoanReceipt), TypeError);
  sender.close(), receiver.close();
});
