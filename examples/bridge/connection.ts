// The connection to NATS, by the context files of its own command line: `nats context add` makes them.
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { credsAuthenticator, jwtAuthenticator, nkeyAuthenticator } from "@nats-io/nats-core";
import type { Authenticator, NatsConnection } from "@nats-io/nats-core";
import { connect, type NodeConnectionOptions } from "@nats-io/transport-node";
import { jetstream, type JetStreamClient, type JetStreamManager, type JetStreamOptions } from "@nats-io/jetstream";
import { BridgeError, say, textOf } from "./log.ts";

/** What a context file may say; the names are those of the `nats` command. */
interface Context {
  url?: string;
  user?: string;
  password?: string;
  token?: string;
  creds?: string;
  nkey?: string;
  user_jwt?: string;
  user_seed?: string;
  cert?: string;
  key?: string;
  ca?: string;
  tls_first?: boolean;
  inbox_prefix?: string;
  jetstream_domain?: string;
  jetstream_api_prefix?: string;
}

/** Members of a context file that the bridge cannot honour: with one of these it must not connect some other way. */
const UNSUPPORTED = ["nsc", "socks_proxy", "windows_cert_store"] as const;

/** How the command line says where NATS is. */
export interface ConnectionFlags {
  /** The name of a context, or the path of its file. */
  readonly context?: string | undefined;
  /** URLs, separated by commas: instead of those of the context. */
  readonly server?: string | undefined;
}

/** A connection that comes back by itself. */
export interface Connection {
  readonly nats: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
  /** Bytes that one message may have, headers included. */
  readonly maxPayload: number;
}

/** The folder of the `nats` command. */
function contextFolder(): string {
  const config = Deno.env.get("XDG_CONFIG_HOME");
  return `${config === undefined || config === "" ? `${Deno.env.get("HOME") ?? ""}/.config` : config}/nats`;
}

function readText(path: string, what: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new BridgeError(`Cannot read ${what}, "${path}": ${textOf(error)}`);
  }
}

/** The context that is asked for, or selected; an empty one if there is none. */
export function readContext(name: string | undefined): Context {
  const folder = contextFolder();
  let wanted = name ?? (Deno.env.get("NATS_CONTEXT") || undefined);
  if (wanted === undefined) {
    try {
      wanted = Deno.readTextFileSync(`${folder}/context.txt`).trim() || undefined;
    } catch {
      // none is selected
    }
  }
  if (wanted === undefined) return {};
  const path = wanted.includes("/") ? wanted : `${folder}/context/${wanted}.json`;
  const text = readText(path, `the NATS context "${wanted}"`);
  let context: unknown;
  try {
    context = JSON.parse(text);
  } catch (error) {
    throw new BridgeError(`Cannot use the NATS context "${path}": it is no JSON, ${textOf(error)}`);
  }
  if (typeof context !== "object" || context === null || Array.isArray(context)) {
    throw new BridgeError(`Cannot use the NATS context "${path}": it is no JSON object`);
  }
  for (const member of UNSUPPORTED) {
    if ((context as Record<string, unknown>)[member]) {
      throw new BridgeError(
        `Cannot use the NATS context "${path}": this bridge does not support its member "${member}"`,
      );
    }
  }
  for (const [member, value] of Object.entries(context)) {
    if (value !== null && typeof value === "object") continue; // none that is used here
    if (member === "tls_first" ? typeof value !== "boolean" : typeof value !== "string" && member in USED) {
      throw new BridgeError(
        `Cannot use the NATS context "${path}": its member "${member}" is ${JSON.stringify(value)}`,
      );
    }
  }
  return context as Context;
}

const USED: Readonly<Record<Exclude<keyof Context, "tls_first">, true>> = {
  url: true,
  user: true,
  password: true,
  token: true,
  creds: true,
  nkey: true,
  user_jwt: true,
  user_seed: true,
  cert: true,
  key: true,
  ca: true,
  inbox_prefix: true,
  jetstream_domain: true,
  jetstream_api_prefix: true,
};

/** A path of a context file: "~" is the user's folder. */
const expand = (path: string) => path.replace(/^~(?=\/)/, () => Deno.env.get("HOME") ?? "~");

/** Read with every connection, so that a file which is renewed takes effect with the next. */
function authenticators(context: Context): Authenticator[] {
  const found: Authenticator[] = [];
  const { creds, nkey, user_jwt: jwt, user_seed: seed } = context;
  if (creds) {
    const path = expand(creds);
    readText(path, "the NATS credentials"); // now, for a clear error
    found.push((nonce) => credsAuthenticator(Deno.readFileSync(path))(nonce));
  }
  if (nkey) {
    const path = expand(nkey);
    readText(path, "the NATS key");
    found.push((nonce) => nkeyAuthenticator(new TextEncoder().encode(Deno.readTextFileSync(path).trim()))(nonce));
  }
  if (jwt) found.push(jwtAuthenticator(jwt, seed ? new TextEncoder().encode(seed) : undefined));
  return found;
}

/** The host of a server's URL. */
function hostOf(server: string): string {
  try {
    return new URL(server.includes("://") ? server : `nats://${server}`).hostname.replace(/^\[|\]$/g, "");
  } catch {
    throw new BridgeError(`Cannot connect to NATS at "${server}": it is no URL`);
  }
}

/** Checks a server's certificate against its name, or, if it has none, against the addresses that were given. */
function identityOf(addresses: readonly string[]) {
  return (name: string, certificate: PeerCertificate): Error | undefined => {
    let error: Error | undefined;
    for (const host of isIP(name) !== 0 || name === "localhost" ? addresses : [name]) {
      error = checkServerIdentity(host, certificate);
      if (error === undefined) return undefined;
    }
    return error;
  };
}

function optionsFor(context: Context, flags: ConnectionFlags, name: string): NodeConnectionOptions {
  const servers = (flags.server ?? ((Deno.env.get("NATS_URL") || undefined) ?? context.url) ?? "nats://127.0.0.1:4222")
    .split(",").map((server) => server.trim()).filter((server) => server !== "");
  const options: NodeConnectionOptions = {
    servers,
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    // A server that vanished without a word is noticed after so long, twice.
    pingInterval: 10_000,
  };
  if (context.inbox_prefix) options.inboxPrefix = context.inbox_prefix;
  const authenticator = authenticators(context);
  if (authenticator.length > 0) options.authenticator = authenticator;
  if (context.user) options.user = context.user;
  if (context.password) options.pass = context.password;
  if (context.token) options.token = context.token;
  if (context.user && !context.password && authenticator.length === 0) { // as the nats command does
    delete options.user;
    options.token = context.user;
  }
  const { ca, cert, key, tls_first: first } = context;
  if (ca || cert || key || first || servers.some((server) => server.startsWith("tls://"))) {
    options.tls = {};
    if (ca) options.tls.ca = readText(expand(ca), "the certificate of the NATS server's authority");
    if (cert) options.tls.cert = readText(expand(cert), "the TLS certificate for NATS");
    if (key) options.tls.key = readText(expand(key), "the TLS key for NATS");
    if (first) options.tls.handshakeFirst = true;
    // A server that is named by its address: the client gives no name then, and "localhost" would be looked for.
    const addresses = servers.map(hostOf).filter((host) => isIP(host) !== 0);
    if (addresses.length > 0) Object.assign(options.tls, { checkServerIdentity: identityOf(addresses) });
  }
  return options;
}

/**
 * Connects, and goes on trying to whenever the connection is lost.
 *
 * @param name What the server calls this client.
 * @throws {BridgeError} If the context cannot be used, or no server lets this client in.
 */
export async function connectTo(flags: ConnectionFlags, name: string): Promise<Connection> {
  const context = readContext(flags.context);
  const options = optionsFor(context, flags, name);
  let nats: NatsConnection;
  try {
    nats = await connect(options);
  } catch (error) {
    throw new BridgeError(`Cannot connect to NATS at ${options.servers}: ${textOf(error)}`);
  }
  void report(nats);
  const more: JetStreamOptions = {};
  if (context.jetstream_domain) more.domain = context.jetstream_domain;
  if (context.jetstream_api_prefix) more.apiPrefix = context.jetstream_api_prefix;
  const client = jetstream(nats, more);
  const manager = await client.jetstreamManager(false);
  return { nats, jetstream: client, manager, maxPayload: nats.info?.max_payload ?? 1 << 20 };
}

/** Says what becomes of the connection. */
async function report(nats: NatsConnection): Promise<void> {
  let lost = false;
  for await (const status of nats.status()) {
    if (status.type === "disconnect") {
      if (!lost) say("the connection to NATS is lost; trying to connect again");
      lost = true;
    } else if (status.type === "reconnect") {
      lost = false;
      say(`connected to NATS again, at ${status.server}`);
    } else if (status.type === "error") {
      say(`NATS says: ${textOf(status.error)}`);
    }
  }
}
