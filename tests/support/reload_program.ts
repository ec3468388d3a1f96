// What a watcher runs again and again in one process: something of everything open, and nothing closed.
import {
  bytesChannel,
  channel,
  IpcArc,
  IpcBytesSender,
  IpcFd,
  IpcOneShotServer,
  IpcReceiver,
  IpcReceiverSet,
  type IpcSender,
  IpcServer,
  IpcSharedMemory,
  u32,
  UnixSocket,
} from "../../mod.ts";

/** What the test and the program agree on. */
export interface Names {
  /** A folder for paths. */
  folder: string;
  /** A cell that the test holds, so that it outlives the program. */
  cell: string;
  /** Another, of a number. */
  number: string;
  /** A name without a file. */
  abstract: string;
}

/** Opens everything, and leaves all of it open. */
export async function openAll({ folder, cell, number, abstract }: Names): Promise<void> {
  const receiver = IpcReceiver.create<string>(`${folder}/channel`);
  const inSet = IpcReceiver.create<string>(`${folder}/in-set`);
  const set = new IpcReceiverSet();
  set.add(inSet);
  const server = new IpcServer<string, string>({ path: `${folder}/server` });
  const byName = new IpcServer<string, string>({ path: abstract });
  const oneShot = new IpcOneShotServer<string>({ path: `${folder}/one-shot` });
  const socket = UnixSocket.listen(`${folder}/socket`);
  const shared = IpcArc.load<{ changes: number }>(cell);
  const guard = shared.acquireSync({ timeout: 5000 });
  guard.value.changes++; // half of a change: the value must stay as it is
  const loaded = IpcArc.load<number>(number, { layout: u32 });
  const held = loaded.acquireSync({ timeout: 5000 });
  const memory = IpcSharedMemory.filled(1, 1 << 20);
  const loan = IpcBytesSender.open(`${folder}/loan`).reserveSync(10);
  const [words, wordReceiver] = channel<string>();
  words.sendSync("x".repeat(100_000));
  const [full] = bytesChannel({ capacity: 65_536 });
  while (full.trySend(new Uint8Array(1000)));
  const descriptor = new IpcFd(UnixSocket.pair()[0].takeFd());
  // Waits of every kind: of the event loop, of timers, of bells.
  const ignore = () => {};
  receiver.recv().then((message) => console.log(JSON.stringify(message)), ignore);
  set.select().catch(ignore);
  byName.accept().catch(ignore);
  oneShot.accept().then(([rest, first]) => {
    console.log(JSON.stringify(first));
    rest.recv().catch(ignore);
  }, ignore);
  socket.accept().catch(ignore);
  full.send(new Uint8Array(1000)).catch(ignore);
  shared.acquire().catch(ignore);
  Object.assign(globalThis, { kept: [guard, held, memory, loan, wordReceiver, descriptor, full, words] });
  console.log(JSON.stringify("ready"));
  const clients: unknown[] = [];
  for await (const client of server) {
    clients.push(client);
    client.sendSync("welcome");
    const answer = await client.recv().catch(ignore) as { reply: IpcSender<string> } | undefined;
    clients.push(answer); // a sender that came in a message, and is not used
    client.sendSync("noted");
  }
}
