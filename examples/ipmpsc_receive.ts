// Prints the lines that are typed into any number of ipmpsc_send.ts, in any terminals, started before or after this.
//
//   deno run --allow-ffi examples/ipmpsc_receive.ts /dev/shm/lines [--zero-copy]
//   deno run --allow-ffi examples/ipmpsc_send.ts /dev/shm/lines
//
// With --zero-copy the bytes go from the ring to the terminal without a stop in between. With --demo it types into two
// senders by itself, twice, once each way:
//
//   deno run --allow-ffi --allow-run examples/ipmpsc_receive.ts --demo
import { IpcBytesReceiver } from "@isthmus/ipc";

const [path] = Deno.args.filter((arg) => !arg.startsWith("--"));
if (Deno.args.includes("--demo")) await demo();
else if (path !== undefined) await receive(path, Deno.args.includes("--zero-copy"));
else console.error("Usage: ipmpsc_receive.ts PATH [--zero-copy] | --demo"), Deno.exitCode = 2;

async function receive(path: string, zeroCopy: boolean, lines = Infinity): Promise<void> {
  using receiver = IpcBytesReceiver.create(path); // closing it removes the files, if nobody else needs them
  const stop = new AbortController();
  const onInterrupt = () => stop.abort("interrupted");
  Deno.addSignalListener("SIGINT", onInterrupt);
  console.log(`Ready: run "deno run --allow-ffi examples/ipmpsc_send.ts ${path}" in another terminal`);
  try {
    for (let n = 0; n < lines; n++) {
      if (zeroCopy) {
        using line = await receiver.borrow(stop);
        Deno.stdout.writeSync(line.value);
      } else {
        Deno.stdout.writeSync(await receiver.recv(stop));
      }
    }
  } catch (error) {
    if (error !== "interrupted") throw error;
  } finally {
    Deno.removeSignalListener("SIGINT", onInterrupt);
  }
}

async function demo(): Promise<void> {
  const path = `/dev/shm/isthmus-example-${Deno.pid}`;
  for (const zeroCopy of [false, true]) {
    console.log(zeroCopy ? "With --zero-copy:" : "Without --zero-copy:");
    const senders = ["one", "two"].map(async (name) => {
      const sender = new Deno.Command(Deno.execPath(), {
        args: ["run", "--allow-ffi", `${import.meta.dirname}/ipmpsc_send.ts`, path],
        stdin: "piped",
        stdout: "null",
      }).spawn();
      const keyboard = sender.stdin.getWriter();
      for (const word of ["a line", "another", "the last"]) {
        await keyboard.write(new TextEncoder().encode(`${word} typed into sender ${name}\n`));
      }
      await keyboard.close();
      if (!(await sender.status).success) throw new Error("a sender failed");
    });
    // Half of the lines while the senders may still be there, the rest by a second receiver, which goes on.
    await receive(path, zeroCopy, 3);
    await receive(path, zeroCopy, 3);
    await Promise.all(senders);
  }
  IpcBytesReceiver.create(path).close(); // what a sender that came last has kept
}
