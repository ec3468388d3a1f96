// One run over a Unix socket: `deno_socket_main.ts WORKLOAD` measures and starts the other process itself, as
// `deno_socket_main.ts WORKLOAD PATH`. Each message has its length before it. Objects are CBOR by cbor-x.
import { decode, encode } from "cbor-x/index-no-eval";
import { measureAsync } from "../harness/loop.mjs";
import { type SmallObject, smallObject } from "../harness/payloads.ts";
import type { Workload } from "../harness/workload.ts";

const [workloadText, path] = Deno.args as [string, string | undefined];
const workload: Workload = JSON.parse(workloadText);
const { kind, payload, size } = workload;

/** Writes of a sender that does not wait for answers are merged up to this. */
const MERGE = 64 << 10;
const HEADER = 4;

class Framed {
  readonly #connection: Deno.Conn;
  #buffer = new Uint8Array(Math.max(2 * size, 256 << 10));
  #begin = 0;
  #end = 0;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** The next message, a copy. */
  async receive(): Promise<Uint8Array> {
    await this.#have(HEADER);
    const length = new DataView(this.#buffer.buffer, this.#begin).getUint32(0, true);
    await this.#have(HEADER + length);
    const message = this.#buffer.slice(this.#begin + HEADER, this.#begin + HEADER + length);
    this.#begin += HEADER + length;
    return message;
  }

  async #have(length: number): Promise<void> {
    while (this.#end - this.#begin < length) {
      if (this.#begin > 0) {
        this.#buffer.copyWithin(0, this.#begin, this.#end);
        this.#end -= this.#begin;
        this.#begin = 0;
      }
      const read = await this.#connection.read(this.#buffer.subarray(this.#end));
      if (read === null) throw new Error("the other process has gone");
      this.#end += read;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }
}

/** Room for one message after its header. */
function frame(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER + length);
  new DataView(bytes.buffer).setUint32(0, length, true);
  return bytes;
}

if (path === undefined) await measure();
else await assist(path);

async function measure(): Promise<void> {
  const folder = await Deno.makeTempDir();
  const socket = `${folder}/socket`;
  const listener = Deno.listen({ transport: "unix", path: socket });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", new URL(import.meta.url).pathname, workloadText, socket],
    stdin: "null",
    stdout: "null",
  }).spawn();
  const peer = new Framed(await listener.accept());
  let sum = 0;
  const request = frame(size);
  const operation = kind === "round-trip"
    ? payload === "bytes"
      ? async () => {
        request[HEADER]!++;
        await peer.write(request);
        sum += (await peer.receive())[0]!;
      }
      : async () => {
        await peer.write(encodeFrame(1));
        sum += (decode(await peer.receive()) as SmallObject).id;
      }
    : payload === "bytes"
    ? async () => {
      const bytes = await peer.receive();
      sum += bytes[0]! + bytes[bytes.length - 1]!;
    }
    : async () => {
      const { id, pos } = decode(await peer.receive()) as SmallObject;
      sum += id + pos[0] + pos[1];
    };
  console.log(JSON.stringify(await measureAsync(workload, [child.pid], operation)));
  child.kill("SIGKILL");
  await child.status;
  await Deno.remove(folder, { recursive: true });
  Deno.exit();
}

function encodeFrame(id: number): Uint8Array {
  const body = encode(smallObject(id));
  const bytes = frame(body.length);
  bytes.set(body, HEADER);
  return bytes;
}

async function assist(socket: string): Promise<void> {
  const connection = await Deno.connect({ transport: "unix", path: socket });
  const peer = new Framed(connection);
  if (kind === "round-trip") {
    const answer = frame(size);
    for (;;) {
      const message = await peer.receive();
      if (payload === "bytes") {
        answer.set(message, HEADER);
        await peer.write(answer);
      } else {
        decode(message);
        await peer.write(encodeFrame(1));
      }
    }
  }
  const merged = new Uint8Array(Math.max(MERGE, HEADER + size));
  const bytes = frame(size);
  let id = 0, used = 0;
  for (;;) {
    const next = payload === "bytes" ? bytes : encodeFrame(++id & 0xffff);
    if (payload === "bytes") bytes[HEADER]!++;
    if (used + next.length > merged.length) {
      await peer.write(merged.subarray(0, used));
      used = 0;
    }
    merged.set(next, used);
    used += next.length;
  }
}
