// Sockets and servers of `node:net`, which Deno, Node.js and Bun have.
import net from "node:net";
import type { AcceptEvents, Acceptor, ReadEvents, ReadWatch, TakenConnection } from "./runtime.ts";

/** Where the bytes go that nobody looks at. */
const IGNORED = new Uint8Array(4096);

/** Node's sockets and servers take a number over, and close it in their own time. */
class SocketWatch implements ReadWatch {
  readonly #socket: net.Socket;

  constructor(fd: number, { onReady, onEnd, onClosed }: ReadEvents) {
    // A callback costs half of what "data" events do.
    const onread = { buffer: IGNORED, callback: () => (onReady(), true) };
    const socket = new net.Socket({ fd, readable: true, writable: false, onread });
    socket.once("close", onClosed);
    socket.on("end", onEnd);
    socket.on("error", onEnd);
    socket.resume();
    socket.unref();
    this.#socket = socket;
  }

  awaited(value: boolean): void {
    if (value) this.#socket.ref();
    else this.#socket.unref();
  }

  close(): void {
    this.#socket.destroy();
  }
}

class SocketConnection implements TakenConnection {
  readonly #socket: net.Socket;

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  get fd(): number | undefined {
    // deno-lint-ignore no-explicit-any
    const fd: unknown = (this.#socket as any)._handle?.fd;
    return typeof fd === "number" && fd >= 0 ? fd : undefined;
  }

  park(): void {
    this.#socket.unref();
    this.#socket.on("error", () => {});
  }

  drop(): void {
    this.#socket.destroy();
  }
}

/** Accepts by a server of `node:net`. */
export class ServerAcceptor implements Acceptor {
  readonly #server: net.Server;
  #settled: ((refusal: unknown) => void) | undefined;

  constructor({ onConnection, onError, onClosed }: AcceptEvents) {
    const server = this.#server = net.createServer(
      { pauseOnConnect: true },
      (socket) => onConnection(new SocketConnection(socket)),
    );
    server.on("listening", () => this.#settle(undefined));
    server.on("error", (cause) => this.#settle(cause) || onError(cause));
    server.on("close", onClosed);
  }

  /** `false` if nobody waits to learn whether it listens. */
  #settle(refusal: unknown): boolean {
    const settled = this.#settled;
    this.#settled = undefined;
    settled?.(refusal);
    return settled !== undefined;
  }

  listen(fd: number, settled: (refusal: unknown) => void): void {
    this.#settled = settled;
    this.#server.listen({ fd });
  }

  awaited(value: boolean): void {
    if (value) this.#server.ref();
    else this.#server.unref();
  }

  close(): void {
    this.#server.close();
  }
}

/** Whether a descriptor was refused for its number: see the runtime's `isTaken`. */
export function isTaken(refusal: unknown): boolean {
  return (refusal as { code?: string } | undefined)?.code === "EEXIST";
}

/** Has the event loop read a descriptor; `undefined` if its number is refused. */
export function watchBySocket(fd: number, events: ReadEvents): ReadWatch | undefined {
  try {
    return new SocketWatch(fd, events);
  } catch (cause) {
    if (isTaken(cause)) return undefined;
    throw cause;
  }
}
