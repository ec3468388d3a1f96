// A counter that survives a writer that is killed: in the middle of a change, with the lock in its hand.
//
//   deno run --allow-ffi --allow-run examples/arc_counter.ts
import { IpcArc } from "@isthmus/ipc";

interface Account {
  balance: number;
  log: string[];
}

const [role, name] = Deno.args;
if (role === undefined) await supervise();
else book(name!);

/** Books money, as fast as it can, until it is killed. */
function book(name: string): void {
  const account = IpcArc.load<Account>(name);
  for (;;) {
    using guard = account.acquireSync();
    // Two changes that belong together: nobody ever sees one without the other.
    guard.value.balance += 1;
    guard.value.log = [...guard.value.log, `+1 by ${Deno.pid}`].slice(-3);
  }
}

async function supervise(): Promise<void> {
  const name = `example-account-${Deno.pid}`;
  using account = IpcArc.create<Account>(name, { balance: 0, log: [] });
  for (let round = 1; round <= 5; round++) {
    const before = account.read().balance;
    const writer = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-ffi", import.meta.filename!, "writer", name],
    }).spawn();
    for await (const { balance } of account.watch()) if (balance >= before + 1000) break;
    writer.kill("SIGKILL");
    await writer.status;

    // If the writer died with the lock, the kernel hands it on, with a note.
    using guard = await account.acquire();
    const { balance, log } = guard.value;
    console.log(
      `writer ${writer.pid} killed ${guard.ownerDied ? "while it held the lock" : "between two changes"}: ` +
        `balance ${balance}, last entry "${log.at(-1)}", holders ${account.refCount}`,
    );
    if (balance < before + 1000) throw new Error("bookings were lost");
  }
}
