// Deno's side of the tests of servers, and of what travels inside messages.
import {
  bytesChannel,
  channel,
  duplex,
  IpcBytesServer,
  IpcFd,
  IpcOneShotServer,
  type IpcReceiver,
  type IpcSender,
  IpcServer,
  IpcSharedMemory,
  spawn,
} from "../../../mod.ts";
import type { Scenario } from "./peer_line.ts";

// deno-lint-ignore no-explicit-any -- whatever the test sends
type Any = any;

export const servers: Record<string, Scenario> = {
  /** A server whose clients get back what they send. */
  async "echo-server"(self, [path, capacity]) {
    using server = new IpcServer<Any, Any>({ ...(path && { path }), ...(capacity && { capacity }) });
    self.say(server.name);
    using line = await server.accept();
    for await (const value of line) await line.send(value);
    self.say();
  },
  async "connect-echo"(self, [name]) {
    using line = IpcServer.connect<Any, Any>(name);
    self.say();
    const big = "x".repeat(3_000_000);
    await line.send({ hello: "from Deno", big });
    const back = await line.recv();
    self.say(back.hello === "from Deno" && back.big === big);
    self.hear();
  },
  async "bytes-server"(self) {
    using server = new IpcBytesServer();
    self.say(server.name);
    using line = await server.accept();
    for await (const bytes of line) await line.send(bytes);
  },
  async "one-shot"(self) {
    using server = new IpcOneShotServer<Any>();
    self.say(server.name);
    const [receiver, first] = await server.accept();
    self.say(first);
    self.say(await receiver.recv());
    receiver.close();
  },
  /** Sends one of everything that travels, and uses what comes back. */
  async "travellers"(self, [name]) {
    using line = IpcServer.connect<Any, Any>(name);
    const [words, wordReceiver] = channel<string>();
    const [bytes, byteReceiver] = bytesChannel();
    const [mine, theirs] = duplex<string, string>();
    const memory = IpcSharedMemory.from(new Uint8Array([1, 2, 3, 4]));
    await words.send("queued before it moved");
    await line.send({ words, wordReceiver, byteReceiver, theirs, memory, again: [words] });
    await bytes.send(new Uint8Array([9, 8, 7]));
    self.say(await mine.recv());
    await mine.send("and back");
    const answer = await line.recv();
    self.say([[...memory.bytes], [...answer.memory.bytes], answer.fd instanceof IpcFd]);
    const sender: IpcSender<string> = answer.sender, receiver: IpcReceiver<string> = answer.receiver;
    self.say(await receiver.recv());
    await sender.send("over Python's own channel");
    const text = new Uint8Array(100);
    self.say(new TextDecoder().decode(text.subarray(0, (await answer.fd.read(text))!)));
    self.hear();
    for (const end of [words, bytes, mine, memory, sender, receiver, answer.memory, answer.fd]) end.close();
  },
  /** Many messages each way, to be killed in the middle. */
  async "stream-until-killed"(self, [name]) {
    using line = IpcServer.connect<Any, Any>(name);
    self.say();
    for (let n = 0;; n++) await line.send({ n, fill: "x".repeat(n % 2000) });
  },
  /** Starts a Python program, and talks to it. */
  async "spawn"(self, [program, args, capacity]) {
    await using child = await spawn<Any, Any>(program, { args, ...(capacity && { capacity }), timeout: 120_000 });
    await child.send([1, 2, 3]);
    self.say(await child.recv());
    await child.send("end");
    self.say((await child.status).code);
  },
  /** The same in byte strings. */
  async "spawn-bytes"(self, [program, args]) {
    await using child = await spawn(program, { args, bytes: true, timeout: 120_000 });
    await child.send(Uint8Array.of(1, 2, 3));
    self.say([...await child.recv()]);
    child.close();
    self.say((await child.status).code);
  },
};
