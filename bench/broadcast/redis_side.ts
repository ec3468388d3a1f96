// Publishes or subscribes by Redis's protocol: role, socket, bytes, milliseconds, commands that go out together. Answers
// are counted, not parsed, so that Redis is what is measured.

const [role, path, size, milliseconds, together] = Deno.args as [string, string, string, string, string];
const CHANNEL = "bench", END = "END";
/** Commands that go out in one write are merged up to so many bytes. */
const MERGE = 64 << 10;

const connection = await Deno.connect({ transport: "unix", path });
const encoder = new TextEncoder();
const say = (value: unknown) => console.log(typeof value === "string" ? value : JSON.stringify(value));

if (role === "publish") await publish(Number(size), Number(milliseconds), Number(together));
else await subscribe(Number(size));
connection.close();

function command(...parts: string[]): string {
  return `*${parts.length}\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join("")}`;
}

async function send(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

async function publish(size: number, milliseconds: number, pipeline: number): Promise<void> {
  const one = command("PUBLISH", CHANNEL, "x".repeat(size));
  const merged = one.length * pipeline <= MERGE ? pipeline : 1;
  const bytes = encoder.encode(one.repeat(merged));
  const answers = new Uint8Array(65_536);
  say("ready");
  const input = Deno.stdin.readable.getReader();
  await input.read();
  const began = performance.now();
  let count = 0;
  for (; performance.now() - began < milliseconds; count += pipeline) {
    for (let sent = 0; sent < pipeline; sent += merged) await send(bytes);
    // ":1\r\n" each, or ":4\r\n".
    for (let left = 4 * pipeline; left > 0;) left -= (await connection.read(answers))!;
  }
  say({ count });
  await send(encoder.encode(command("PUBLISH", CHANNEL, END)));
  while (!(await input.read()).done);
}

async function subscribe(size: number): Promise<void> {
  const buffer = new Uint8Array(1 << 20);
  const decoder = new TextDecoder();
  await send(encoder.encode(command("SUBSCRIBE", CHANNEL)));
  await connection.read(buffer);
  say("ready");
  const each = command("message", CHANNEL, "x".repeat(size)).length;
  let bytes = 0, tail = "";
  for (;;) {
    const read = (await connection.read(buffer))!;
    bytes += read;
    tail = (tail + decoder.decode(buffer.subarray(Math.max(0, read - 16), read))).slice(-16);
    if (tail.endsWith(`${END}\r\n`)) break;
  }
  say({ count: Math.floor(bytes / each) });
  for await (const _ of Deno.stdin.readable);
}
