// A program as users write it, only to be type-checked, with the options that users have: see the steps of `.ci/run`.
import {
  array,
  bytes,
  bytesChannel,
  channel,
  duplex,
  f64,
  IpcArc,
  type IpcDuplex,
  IpcFd,
  IpcReceiver,
  IpcRouter,
  IpcSender,
  IpcServer,
  IpcSharedMemory,
  recvFds,
  struct,
  UnixSocket,
} from "@isthmus/ipc";

export async function bytesAreBytes(): Promise<void> {
  const [sender, receiver] = bytesChannel();
  await sender.send(new Uint8Array([1]));
  const received: Uint8Array<ArrayBuffer> = await receiver.recv();
  console.log(new Response(received), await crypto.subtle.digest("SHA-256", received));
  console.log(new Response(receiver.recvSync()), new Blob(receiver.recvMany()));
  const found = receiver.tryRecv();
  if (found.state === "message") console.log(new Response(found.value));
  using borrowed = await receiver.borrow();
  console.log(new Response(borrowed.value), new Response(receiver.tryBorrow()?.value ?? null));
  for await (const message of receiver) console.log(new Response(message));
  const text = receiver.toReadableStream().pipeThrough(new DecompressionStream("gzip"))
    .pipeThrough(new TextDecoderStream());
  for await (const part of text) console.log(part.length);
  const loan = sender.reserveSync(10);
  console.log(new Response(loan.bytes), new Response(IpcSharedMemory.filled(0, 1).bytes));
  console.log(new Response(IpcSharedMemory.from(received).take()));
  const [socket] = UnixSocket.pair();
  const { data, fds } = await recvFds(socket, 10, { timeout: 10, signal: AbortSignal.timeout(10) });
  console.log(new Response(data), fds[0]?.fd);
  const file = new IpcFd(3);
  console.log(await new Response(file.readable).text());
  await new Response("x").body!.pipeTo(file.writable);
  const cell = IpcArc.create("bytes", { of: new Uint8Array(3) }, { layout: struct({ of: bytes(3) }) });
  console.log(new Response(cell.read().of));
  const samples = IpcArc.load("samples", { layout: array(f64, 3) });
  const numbers: Float64Array<ArrayBuffer> = samples.read();
  console.log(numbers.length);
}

export function handlersAreInferred(): void {
  const router = new IpcRouter();
  const [, byteReceiver] = bytesChannel();
  router.route(byteReceiver, (b) => console.log(new Response(b), b.length));
  const [, receiver] = channel<{ name: string }>();
  router.route(receiver, ({ name }) => name.length);
  router.routeOnce(receiver, (value) => value.name.length);
}

interface Animal {
  name: string;
}
interface Dog extends Animal {
  bark: string;
}

/** What takes any animal takes dogs, and not the other way round. */
export function senders(animals: IpcSender<Animal>, dogs: IpcSender<Dog>): IpcSender<Dog>[] {
  // @ts-expect-error -- somebody who expects dogs must not be sent any animal
  const wrong: IpcSender<Animal> = dogs;
  // @ts-expect-error -- the same by way of a duplex
  const wrongDuplex = (end: IpcDuplex<Dog, string>): IpcDuplex<Animal, string> => end;
  return [animals, dogs, wrong, IpcSender.open<Dog>("/dev/shm/dogs"), wrongDuplex as never];
}

export function receivers(dogs: IpcReceiver<Dog>): IpcReceiver<Animal>[] {
  return [dogs, IpcReceiver.create<Animal>("/dev/shm/animals")];
}

export async function conversations(): Promise<void> {
  const [left, right] = duplex<string, number>();
  const running = right.run((question) => question.length);
  await left.send("question", { timeout: 10 });
  const answer: number = await left.recv();
  console.log(answer);
  await running;

  const server = new IpcServer<number, string>();
  for await (const client of server) void client.run((text) => text.length);
  using client = IpcServer.connect<string, number>(server.name);
  client.sendSync("text");

  type Lengths = IpcServer<number, string>;
  const lengths: Lengths = new IpcServer({ path: "@lengths" });
  using asking = IpcServer.connect<Lengths>(lengths.name);
  asking.sendSync("text");
  // @ts-expect-error -- a client sends what the server receives
  asking.sendSync(5);
  const length: number = asking.recvSync();
  console.log(length);
}
