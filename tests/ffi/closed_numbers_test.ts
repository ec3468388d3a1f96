// Descriptors that were closed behind Deno's back: it believes that the numbers are in use, and refuses to adopt them.
import fs from "node:fs";
import { assertEquals } from "@std/assert";
import { channel, IpcFd, IpcReceiverSet, IpcServer, UnixSocket } from "../../mod.ts";
import { soon } from "../support/assert_ipc.ts";
import { look } from "../support/leftovers.ts";
import { test } from "../support/test.ts";

const mayRead = Deno.permissions.querySync({ name: "read" }).state === "granted";

/** Numbers that Deno's own table has, and the kernel has not. */
function closeBehindDeno(count: number): void {
  const fds = Array.from({ length: count }, () => fs.openSync(new URL(import.meta.url), "r"));
  for (const fd of fds) new IpcFd(fd).close();
}

if (mayRead) {
  test("Waits work, and leak nothing, where Deno takes free numbers for used ones", async () => {
    const [sender, receiver] = channel<number>();
    const [member, inSet] = channel<number>();
    const set = new IpcReceiverSet();
    sender.sendSync(0), member.sendSync(0), receiver.recvSync();
    set.add(inSet);
    assertEquals(set.trySelect().length, 1);
    const server = new IpcServer<number, number>();
    const name = `@isthmus-test-${crypto.randomUUID()}`;
    const listening = UnixSocket.listen(name);
    const before = look().size;
    closeBehindDeno(8);

    const received = receiver.recv(), selected = set.select(), accepted = listening.accept(), served = server.accept();
    await new Promise((resolve) => setTimeout(resolve, 1));
    sender.sendSync(1), member.sendSync(2);
    assertEquals(await soon(received), 1);
    assertEquals((await soon(selected)).length, 1);
    const client = UnixSocket.connect(name);
    (await soon(accepted)).close();
    const user = IpcServer.connect<number, number>(server.name);
    const end = await soon(served);
    end.sendSync(3);
    assertEquals(await soon(user.recv()), 3);
    for (const closing of [sender, receiver, member, set, server, listening, client, user, end]) closing.close();
    for (let turn = 0; turn < 100 && look().size > before; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assertEquals(look().size < before, true);
  }, "Deno's table keeps the numbers");
}
