// `isthmus send` and `isthmus recv`, run as processes.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { IpcBytesSender, IpcReceiver, IpcSender } from "../../mod.ts";
import { folderTest } from "../support/folder.ts";
import { isthmus, isthmusArguments, isthmusReading, killed, Running } from "../support/isthmus.ts";
import { asleep } from "../support/named.ts";

/** What is sent when everything is put right again. */
const DONE = { code: 0, out: "", err: "" };

/** Waits until a process, which may only just have been started, sleeps at the channel. */
async function sleepsAt(path: string, who: "receiver" | "sender"): Promise<void> {
  for (;;) {
    try {
      return await asleep(path, who);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

function start(args: string[], input: "piped" | "null" = "null"): Deno.ChildProcess {
  const options = { stdin: input, stdout: "piped", stderr: "piped" } as const;
  return new Deno.Command(Deno.execPath(), { args: isthmusArguments(args), ...options }).spawn();
}

/** What a process that was started has written, and how it ended. */
async function outcome(process: Deno.ChildProcess): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await process.output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** Makes a channel as small as can be; it stays so while somebody is attached. */
function smallChannel(path: string): IpcSender<unknown> {
  const maker = IpcReceiver.create(path, { capacity: 65_536 });
  const keeper = IpcSender.open(path);
  maker.close();
  return keeper;
}

const numbers = (count: number, first = 1) => Array.from({ length: count }, (_, i) => `${first + i}\n`).join("");

// --- Forms of messages -------------------------------------------------------------------------------------------------

folderTest("isthmus send sends each line, and isthmus recv prints it", async (folder) => {
  const { channel: path } = folder;
  assertEquals(await isthmusReading("one\n\n  zwei ½\r\nlast", "send", path), DONE);
  assertEquals(await isthmus("recv", path, "--count=4"), { ...DONE, out: "one\n\n  zwei ½\r\nlast\n" });
  assertEquals(folder.files(), []);
});

folderTest("isthmus send sends the values it is given, and does not read then", async ({ channel: path }) => {
  assertEquals(await isthmusReading("not this\n", "send", path, "a b", "", "-5", '"-5"', '{"a":1}'), DONE);
  assertEquals(await isthmus("send", path, "--", "--json"), DONE);
  assertEquals(await isthmus("send", path, "--json", "[1]", '{"$bigint":"12"}'), DONE);
  assertEquals(
    (await isthmus("recv", path, "-n", "8", "--json")).out,
    '"a b"\n""\n-5\n"-5"\n{"a":1}\n"--json"\n[1]\n{"$bigint":"12"}\n',
  );
});

for (const copied of [[], ["--zero-copy"]]) {
  folderTest(
    `Values go through as JSON, also those that it lacks (${copied[0] ?? "copied"})`,
    async ({ channel: path }) => {
      const lines = [
        '{"a":[1,null]}',
        '"text"',
        '{"$bytes":"AQI="}',
        '{"$map":[[1,{"$date":"2024-01-01T00:00:00.000Z"}]]}',
      ];
      assertEquals(await isthmusReading(`\n${lines.join("\n \n")}\n`, "send", "--json", path), DONE);
      assertEquals(await isthmus("recv", path, "--json", "--count=4", ...copied), {
        ...DONE,
        out: `${lines.join("\n")}\n`,
      });

      using receiver = IpcReceiver.create<unknown>(path);
      using sender = IpcSender.open<unknown>(path);
      await isthmusReading(lines[3]!, "send", "--json", path);
      assertEquals(receiver.recvSync(), new Map([[1, new Date("2024-01-01")]]));
      receiver.close();
      sender.sendSync("plain\ntext");
      sender.sendSync({ bytes: new Uint8Array([1, 2]) });
      assertEquals(
        (await isthmus("recv", path, "--count=2", ...copied)).out,
        'plain\ntext\n{"bytes":{"$bytes":"AQI="}}\n',
      );
    },
  );

  folderTest(`Bytes go through as they are (${copied[0] ?? "copied"})`, async (folder) => {
    const { channel: path } = folder;
    const bytes = new Uint8Array(9_000_000);
    for (let at = 0; at < bytes.length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
    const receiving = start(["recv", path, "--raw", ...copied]);
    const sending = start(["send", path, "--raw"], "piped");
    const writing = new Response(bytes).body!.pipeTo(sending.stdin);
    let at = 0;
    for await (const piece of receiving.stdout) {
      assert(piece.every((byte, i) => byte === bytes[at + i]));
      at += piece.length;
      if (at >= bytes.length) receiving.kill("SIGINT");
    }
    assertEquals(at, bytes.length);
    assertEquals(await outcome(sending), DONE);
    assertEquals((await receiving.status).code, 0);
    await Promise.all([writing, receiving.stderr.cancel()]);
    assertEquals(folder.files(), []);
  });
}

folderTest("100,000 lines go through in order", async (folder) => {
  const { channel: path } = folder;
  const lines = numbers(100_000);
  const [received, sent] = await Promise.all([
    isthmus("recv", path, "--count=100000"),
    isthmusReading(lines, "send", path),
  ]);
  assertEquals([received.code, received.err, sent], [0, "", DONE]);
  assert(received.out === lines);
  assertEquals(folder.files(), []);
});

// --- What cannot be sent, or not be received ---------------------------------------------------------------------------

folderTest(
  "isthmus send tells which line is no JSON, and what was sent before stays sent",
  async ({ channel: path }) => {
    const { code, out, err } = await isthmusReading("1\n\n[2]\n{oops\n5\n", "send", path, "--json");
    assertEquals([code, out], [1, ""]);
    assertMatch(err, /^isthmus: Line 4: Cannot read \{oops: it is not JSON .*; 2 messages sent before it\n$/);
    assertEquals((await isthmus("recv", path, "--timeout=0")).out, "1\n[2]\n");

    const given = await isthmus("send", path, "--json", "1", "{oops");
    assertEquals(given.code, 1);
    assertEquals((await isthmus("recv", path, "--timeout=0")).out, "", "values that are given are all looked at first");
  },
);

folderTest(
  "isthmus send refuses a line that is no text, or longer than the channel",
  async (folder) => {
    const { channel: path } = folder;
    const sending = start(["send", path], "piped");
    const writer = sending.stdin.getWriter();
    await writer.write(new Uint8Array([0x61, 0x0a, 0xff, 0x0a]));
    const text = await outcome(sending);
    assertEquals(text.code, 1);
    assertStringIncludes(text.err, "Line 2: it is not UTF-8; --raw sends bytes as they are; 1 message sent before it");
    assertEquals((await isthmus("recv", path, "--timeout=0")).out, "a\n");
    await writer.close().catch(() => {});

    const long = await isthmusReading("x".repeat(9_000_000), "send", path);
    assertEquals(long.code, 1);
    assertStringIncludes(long.err, "Line 1: it is longer than 4194304 bytes");
    assertEquals(folder.files(), []);
  },
);

folderTest(
  "isthmus recv tells of a message that it cannot decode, goes on, and exits with 1",
  async ({ channel: path }) => {
    using bytes = IpcBytesSender.open(path);
    bytes.sendSync(new Uint8Array([0xff, 0xff]));
    using sender = IpcSender.open<string>(path);
    sender.sendSync("good");
    const { code, out, err } = await isthmus("recv", path, "--timeout=0");
    assertEquals([code, out], [1, "good\n"]);
    assertMatch(err, /^isthmus: Message 1: .*\n$/);
  },
);

folderTest("isthmus recv is refused what another process receives from", async ({ channel: path }) => {
  using _receiver = IpcReceiver.create(path);
  const { code, out, err } = await isthmus("recv", path);
  assertEquals([code, out], [1, ""]);
  assertEquals(err, `isthmus: Cannot receive from "${path}": this channel has a receiver already\n`);
});

folderTest("isthmus send and recv refuse a file that is no channel, and leave it", async (folder) => {
  const { channel: path } = folder;
  Deno.writeTextFileSync(path, "mine");
  for (const command of ["send", "recv"]) {
    const { code, err } = await isthmus(command, path);
    assertEquals(code, 1);
    assertStringIncludes(err, `Cannot open the channel "${path}"`);
    assert(!err.includes("    at "), "no stack");
  }
  assertEquals(folder.files(), ["channel"]);
  assertEquals(Deno.readTextFileSync(path), "mine");
});

folderTest("isthmus send and recv exit with 2 if the arguments make no sense", async (folder) => {
  const { channel: path } = folder;
  const cases: [string[], string][] = [
    [["recv"], '"isthmus recv" needs PATH'],
    [["recv", path, "--zerocopy"], 'did you mean "--zero-copy"?'],
    [["recv", path, "--json", "--raw"], '"--json" and "--raw" exclude each other'],
    [["recv", path, "--count=0"], '"--count" takes a whole number, from 1, and not "0"'],
    [["recv", path, "--capacity=1e9"], '"--capacity" takes a whole number, from 1 to 1073741824, and not "1e9"'],
    [
      ["recv", path, "--mode=060"],
      '"--mode=060" would keep the channel\'s owner from reading or writing it: begin with 6',
    ],
    [["recv", path, "--mode=rw"], '"--mode" takes three octal digits, such as 660, and not "rw"'],
    [["recv", path, "--timeout=soon"], '"--timeout" takes milliseconds'],
    [["send", path, "--timeuot=1"], 'did you mean "--timeout"?'],
  ];
  for (const [args, complaint] of cases) {
    const { code, out, err } = await isthmus(...args);
    assertEquals([code, out], [2, ""]);
    assertStringIncludes(err, complaint);
  }
  assertEquals(folder.files(), []);
});

// --- Waiting -----------------------------------------------------------------------------------------------------------

folderTest("isthmus recv --timeout ends it: well, unless --count asks for more", async (folder) => {
  const { channel: path } = folder;
  await isthmus("send", path, "one");
  assertEquals(await isthmus("recv", path, "--timeout=0"), { ...DONE, out: "one\n" });
  await isthmus("send", path, "one");
  const { code, out, err } = await isthmus("recv", path, "--timeout=1", "--count=2");
  assertEquals([code, out], [1, "one\n"]);
  assertMatch(err, /timed out after 1 ms, after 1 of 2 messages\n$/);
  assertEquals(folder.files(), []);
});

folderTest("isthmus send waits for room, and goes on when there is some", async ({ channel: path }) => {
  using _keeper = smallChannel(path);
  const sending = start(["send", path], "piped");
  let written = false;
  const lines = numbers(60_000); // 350 KB of text, of which pipes and a piece hold 200
  const writing = new Response(lines).body!.pipeTo(sending.stdin).then(() => written = true);
  await sleepsAt(path, "sender");
  assert(!written);
  const received = start(["recv", path, "--count=60000"]);
  const [{ code, out }, sent] = await Promise.all([outcome(received), outcome(sending), writing]);
  assertEquals([code, sent], [0, DONE]);
  assert(out === lines);
});

folderTest("isthmus send reads no further than the piece whose line has to wait", async (folder) => {
  const { channel: path } = folder;
  const input = `${folder.path}/input`, piece = 65_536, room = 1024; // a short line takes 64 bytes of 65,536
  Deno.writeTextFileSync(input, numbers(60_000));
  using _keeper = smallChannel(path);
  // The shell shares its place in the file with the program.
  const script = 'exec 3<"$1"; shift; "$@" <&3 & echo $!; wait $!; echo "code $?"; cat <&3 | wc -c';
  const shell = new Deno.Command("bash", {
    args: ["-c", script, "bash", input, Deno.execPath(), ...isthmusArguments(["send", path])],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = shell.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const pid = Number((await said.read()).value);
  await sleepsAt(path, "sender");
  Deno.kill(pid, "SIGTERM");
  let rest = "";
  for (let next = await said.read(); !next.done; next = await said.read()) rest += next.value;
  const [code, unread] = rest.trim().split("\n");
  assertEquals(code, "code 1");
  const err = await new Response(shell.stderr).text();
  assertEquals(err, `isthmus: Ended by SIGTERM; ${room.toLocaleString("en")} messages sent\n`);
  const read = Deno.statSync(input).size - Number(unread);
  assert(read > 0 && read <= numbers(room).length + piece, `${read} bytes read`);
  await shell.status;
  assertEquals((await isthmus("recv", path, "--timeout=0")).out, numbers(room));
});

folderTest(
  "isthmus send --timeout gives up when there is no room, and tells how far it came",
  async ({ channel: path }) => {
    const keeper = IpcReceiver.create(path, { capacity: 65_536 });
    using _sender = IpcSender.open(path);
    keeper.close();
    const { code, err } = await isthmusReading(numbers(2000), "send", path, "--timeout=20");
    assertEquals(code, 1);
    assertMatch(err, /^isthmus: Line 1025: Cannot send: .*timed out after 20 ms; .*; 1,024 messages sent before it\n$/);
    assertEquals((await isthmus("recv", path, "--timeout=0")).out, numbers(1024));
  },
);

folderTest("isthmus recv makes the channel as large and as open as it is told", async ({ channel: path }) => {
  await using receiving = new Running("recv", path, "--capacity=65536", "--mode=640");
  await sleepsAt(path, "receiver");
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o640);
  const { code, err } = await isthmus("send", path, "x".repeat(66_000));
  assertEquals(code, 1);
  assertMatch(err, /^isthmus: Value 1: Cannot send 66005 bytes .* 65536 bytes; .*; 0 messages sent before it\n$/);
  assertEquals(await receiving.end("SIGTERM"), { code: 0, lines: [], err: "" });
});

// --- Ends --------------------------------------------------------------------------------------------------------------

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  folderTest(`isthmus recv ended by ${signal} leaves nothing behind`, async (folder) => {
    const { channel: path } = folder;
    await using receiving = new Running("recv", path);
    await isthmus("send", path, "one");
    assertEquals(await receiving.line(), "one");
    assertEquals(await receiving.end(signal), { code: 0, lines: [], err: "" });
    assertEquals(folder.files(), []);
  });
}

folderTest(
  "isthmus recv that is ended before it has as many as it was told exits with 1",
  async (folder) => {
    const { channel: path } = folder;
    await using receiving = new Running("recv", path, "--count=2");
    await isthmus("send", path, "one");
    assertEquals(await receiving.line(), "one");
    assertEquals(await receiving.end("SIGINT"), {
      code: 1,
      lines: [],
      err: "isthmus: Ended by SIGINT, after 1 of 2 messages\n",
    });
    assertEquals(folder.files(), []);
  },
);

folderTest("isthmus recv ends on a signal also while nobody reads what it writes", async ({ channel: path }) => {
  const receiving = start(["recv", path]);
  const sending = start(["send", path], "piped");
  const writing = new Response(numbers(1_000_000)).body!.pipeTo(sending.stdin).catch(() => {});
  await sleepsAt(path, "sender"); // the pipe is full, and then the channel
  receiving.kill("SIGTERM");
  assertEquals((await receiving.status).code, 0);
  sending.kill("SIGTERM");
  const sent = await outcome(sending);
  assertEquals(sent.code, 1);
  assertMatch(sent.err, /^isthmus: Ended by SIGTERM; [\d,]+ messages sent\n$/);
  await Promise.all([writing, receiving.stdout.cancel(), receiving.stderr.cancel()]);
});

folderTest(
  "isthmus send ended by a signal while it waits for input leaves nothing behind",
  async (folder) => {
    const { channel: path } = folder;
    const sending = start(["send", path], "piped");
    const writer = sending.stdin.getWriter();
    await writer.write(new TextEncoder().encode("one\ntw"));
    assertEquals((await isthmus("recv", path, "--count=1")).out, "one\n");
    assertEquals(folder.files().length, 3, "the sender is still attached");
    sending.kill("SIGINT");
    assertEquals(await outcome(sending), { code: 1, out: "", err: "isthmus: Ended by SIGINT; 1 message sent\n" });
    await writer.close().catch(() => {});
    assertEquals(folder.files(), []);
  },
);

folderTest(
  "Whoever leaves the channel last removes it: the sender, or the receiver",
  async (folder) => {
    const { channel: path } = folder;
    using receiver = IpcReceiver.create<string>(path);
    assertEquals(await isthmus("send", path, "one"), DONE);
    assertEquals(folder.files().length, 3);
    assertEquals(receiver.recvSync(), "one");
    receiver.close();
    assertEquals(folder.files(), []);

    await isthmus("send", path, "kept");
    assertEquals(folder.files().length, 3, "a message waits in it");
    assertEquals((await isthmus("recv", path, "--count=1")).out, "kept\n");
    assertEquals(folder.files(), []);
  },
);

folderTest(
  "A killed isthmus recv is followed by one that goes on, and a killed isthmus send too",
  async ({ channel: path }) => {
    const first = new Running("recv", path);
    const sending = start(["send", path], "piped");
    const writer = sending.stdin.getWriter();
    const write = (text: string) => writer.write(new TextEncoder().encode(text));
    {
      await using receiving = first;
      await write(numbers(100));
      for (let n = 1; n <= 100; n++) assertEquals(await receiving.line(), `${n}`);
      await sleepsAt(path, "receiver");
      await receiving.end("SIGKILL");
    }
    await write(numbers(100, 101));
    await using receiving = new Running("recv", path);
    for (let n = 101; n <= 200; n++) assertEquals(await receiving.line(), `${n}`);
    sending.kill("SIGKILL");
    await Promise.all([sending.output(), writer.close().catch(() => {})]);
    await isthmus("send", path, "alive");
    assertEquals(await receiving.line(), "alive");
    assertEquals(await receiving.end("SIGINT"), { code: 0, lines: [], err: "" });
  },
);

folderTest(
  "isthmus recv goes on after a sender that was killed in the middle of a message",
  async (folder) => {
    const { channel: path } = folder;
    await killed(`
    const sender = isthmus.IpcBytesSender.open(${JSON.stringify(path)});
    isthmus.IpcSender.open(${JSON.stringify(path)}).sendSync("before");
    sender.reserveSync(100);
  `);
    await isthmus("send", path, "after");
    assertEquals(await isthmus("recv", path, "--count=2"), { ...DONE, out: "before\nafter\n" });
    assertEquals(folder.files(), []);
  },
);

folderTest("isthmus recv ends when its reader does, and leaves the next message", async (folder) => {
  const { channel: path } = folder;
  const program = `isthmus() { "${Deno.execPath()}" run --no-prompt --allow-ffi "${
    isthmusArguments([]).at(-1)
  }" "$@"; }`;
  const piped = (script: string) =>
    new Deno.Command("bash", { args: ["-c", `${program}\n${script}`], env: { P: path }, stdin: "null" }).output();
  // The receiver finds nothing to write any more: it has to look whether anybody reads.
  await isthmus("send", path, "one");
  const idle = await piped('{ isthmus recv "$P"; echo "code $?" >&2; } | head -n 1');
  assertEquals(new TextDecoder().decode(idle.stdout), "one\n");
  assertEquals(new TextDecoder().decode(idle.stderr), "code 0\n");
  assertEquals(folder.files(), []);

  await isthmus("send", path, "one", "two");
  const gone = await piped('exec 3> >(true); wait $!; isthmus recv "$P" >&3');
  assertEquals([gone.code, gone.stderr.length], [0, 0]);
  assertEquals((await isthmus("recv", path, "--timeout=0")).out, "one\ntwo\n");
});
