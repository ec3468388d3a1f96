import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  IpcBytesChild,
  IpcBytesDuplex,
  IpcChild,
  IpcDuplex,
  parent,
  spawn,
  type SpawnOptions,
  UnixSocket,
} from "../../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { patience } from "../../support/patience.ts";
import { SPAWNED } from "../../support/spawned.ts";
import { lookingTest, processTest, test } from "../../support/test.ts";

/** Starts the program of `spawned.ts`. */
function start<Out, In>(way: string[], options: SpawnOptions = {}): Promise<IpcChild<Out, In>> {
  return spawn<Out, In>(SPAWNED, { args: way, stdin: "null", timeout: patience(30_000), ...options });
}

processTest("A module and a conversation with it, with no other permission than --allow-ffi", async () => {
  await using child = await start<string, string>(["echo"]);
  assert(child instanceof IpcDuplex && child instanceof IpcChild);
  await child.send("hello");
  assertEquals(await soon(child.recv()), "hello");
  assertEquals(child.peer?.pid, child.pid);
  child.close();
  assertEquals((await soon(child.status)).code, 0);
});

processTest("A conversation in byte strings, with loans and borrowed messages", async () => {
  await using child = await spawn(SPAWNED, {
    bytes: true,
    args: ["reverse"],
    stdin: "null",
    capacity: 1 << 20,
    maxMessageBytes: 1 << 22,
    timeout: patience(30_000),
  });
  assert(child instanceof IpcBytesDuplex && child instanceof IpcBytesChild);
  assertEquals(child.peer?.pid, child.pid);
  await child.send(new Uint8Array([1, 2, 3]));
  assertEquals(await soon(child.recv()), new Uint8Array([3, 2, 1]));
  {
    using loan = await child.reserve(100_000);
    loan.bytes.fill(7)[0] = 9;
    loan.commit();
    using answer = await soon(child.borrow());
    assertEquals([answer.value.length, answer.value[0], answer.value.at(-1)], [100_000, 7, 9]);
  }
  await child.send(new Uint8Array(3_000_000).fill(1)); // larger than the channel
  assertEquals((await soon(child.recv())).length, 3_000_000);
  child.close();
  assertEquals((await soon(child.status)).code, 0);
});

processTest("A child that wants the other kind of conversation is told so", async () => {
  for (const [parentKind, childKind] of [[true, "values"], [false, "bytes"]] as const) {
    const child: SpawnOptions = { args: ["kind", childKind], stdin: "null", stdout: "null" };
    const error = await assertIpcError(
      "Disconnected",
      () => parentKind ? spawn(SPAWNED, { ...child, bytes: true }) : spawn(SPAWNED, child),
    );
    assertStringIncludes(error.message, "exit code 0");
  }
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-ffi", SPAWNED.href, "kind", "values"],
    env: { ISTHMUS_PARENT: `@isthmus-bytes-parent-${crypto.randomUUID()}:${"0".repeat(32)}` },
    stderr: "inherit",
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "Incompatible\n");
});

test("An option of the wrong kind is told of", async () => {
  await assertRejects(() => spawn("true", { bytes: 1 } as unknown as SpawnOptions), TypeError, "bytes");
  assertThrows(() => parent({ bytes: 1 } as unknown as { bytes: true }), TypeError, "bytes");
});

processTest("A module that is given as text is an error that says how to give it", async () => {
  for (const text of [import.meta.url, "./no_such_module.ts"]) {
    const error = await assertIpcError("NotFound", () => spawn(text));
    assertStringIncludes(error.message, 'a module is given as a URL: new URL("./worker.ts", import.meta.url)');
  }
  const { message } = await assertIpcError("NotFound", () => spawn("no-such-program"));
  assertEquals(message, 'Cannot start "no-such-program": there is no such program');
});

processTest("A child gets its arguments, folder and environment", async () => {
  await using child = await start<unknown, Record<string, unknown>>(["surroundings", "COLOUR"], {
    permissions: ["--allow-ffi", "--allow-read", "--allow-env"],
    cwd: "/tmp",
    env: { COLOUR: "green" },
  });
  assertEquals(await soon(child.recv()), { args: ["surroundings", "COLOUR"], cwd: "/tmp", variable: "green" });
});

processTest("A child that ends right after its last word has said it", async () => {
  for (let i = 0; i < 3; i++) {
    await using child = await start<unknown, string>(["brief"]);
    assertEquals(await soon(child.recv()), "here");
    assertEquals(await soon(child.recv()), "gone");
    await assertIpcError("Disconnected", () => soon(child.recv()));
  }
});

processTest("Children that are started together are each their own", async () => {
  const children = await Promise.all(
    Array.from({ length: 6 }, (_, i) => start<number, number>(["echo"], { env: { N: `${i}` } })),
  );
  try {
    await Promise.all(children.map((child, i) => child.send(i)));
    assertEquals(await Promise.all(children.map((child) => soon(child.recv()))), [0, 1, 2, 3, 4, 5]);
    assertEquals(children.map((child) => child.peer?.pid), children.map(({ pid }) => pid));
    assertEquals(new Set(children.map(({ pid }) => pid)).size, 6);
  } finally {
    for (const child of children) await child[Symbol.asyncDispose]();
  }
});

processTest("A program that ends before it calls parent() is an error with its exit code", async () => {
  const error = await assertIpcError("Disconnected", () => start(["ends", "3"]));
  assertStringIncludes(error.message, "exit code 3");
  assertEquals((error.cause as Deno.CommandStatus).code, 3);
  const other = await assertIpcError("Disconnected", () => spawn("sh", { args: ["-c", "kill -KILL $$"] }));
  assertStringIncludes(other.message, "SIGKILL");
});

processTest("A program that never calls parent() is ended when the time is over", async () => {
  const error = await assertIpcError("Timeout", () => spawn("sleep", { args: ["1000"], timeout: 200 }));
  assertStringIncludes(error.message, "timed out after 200 ms");
  assertStringIncludes(error.message, "exit code 143");
  assertEquals((error.cause as Deno.CommandStatus).signal, "SIGTERM");
});

processTest("A signal ends the start of a program, and the program", async () => {
  const stop = new AbortController(), reason = new Error("not needed");
  const starting = assertRejects(() => spawn("sleep", { args: ["1000"], signal: stop.signal }), Error, "not needed");
  stop.abort(reason);
  await soon(starting);
  await assertRejects(() => spawn("sleep", { signal: stop.signal }), Error, "not needed");
});

processTest("A signal ends a program that talks: waits end with Disconnected", async () => {
  const stop = new AbortController();
  await using child = await start<unknown, string>(["stay"], { signal: stop.signal });
  assertEquals(await soon(child.recv()), "ready");
  const waiting = assertIpcError("Disconnected", () => child.recv());
  stop.abort();
  await soon(waiting);
  assertEquals((await soon(child.status)).signal, "SIGTERM");
});

processTest("The death of a child ends every wait with Disconnected", async () => {
  await using child = await start<unknown, string>(["stay"], { capacity: 65_536 });
  assertEquals(await soon(child.recv()), "ready");
  while (child.trySend("x".repeat(1000)));
  const waits = [child.recv(), child.send("more"), child.sendWhenEmpty("more")];
  const ends = waits.map((wait) => assertIpcError("Disconnected", () => soon(Promise.resolve(wait))));
  child.kill("SIGKILL");
  await Promise.all(ends);
  assertEquals((await soon(child.status)).signal, "SIGKILL");
  child.kill(); // it has ended: nothing is done
});

processTest("await using closes the conversation and waits until the program has ended by itself", async () => {
  let status: Promise<Deno.CommandStatus>;
  {
    await using child = await start<unknown, string>(["tidy"], { grace: patience(20_000) });
    assertEquals(await soon(child.recv()), "ready");
    status = child.status;
  }
  assertEquals(await Promise.race([status, Promise.resolve("running")]), { success: false, code: 7, signal: null });
});

processTest("await using kills a program that does not end", async () => {
  let status: Promise<Deno.CommandStatus>;
  {
    await using child = await start<unknown, string>(["stubborn"], { grace: 50 });
    assertEquals(await soon(child.recv()), "ready");
    status = child.status;
  }
  assertEquals((await status).signal, "SIGKILL");
});

processTest("using ends the program as well", async () => {
  let status: Promise<Deno.CommandStatus>;
  {
    using child = await start<unknown, string>(["stay"], { grace: 50 });
    assertEquals(await soon(child.recv()), "ready");
    status = child.status;
  }
  assertEquals((await soon(status)).signal, "SIGTERM");
});

processTest("A program that writes to a pipe is read", async () => {
  await using child = await start<string, string>(["echo"], { stdin: "piped", stdout: "piped", stderr: "piped" });
  await child.send("a");
  assertEquals(await soon(child.recv()), "a");
  child.close();
  assertEquals(await soon(new Response(child.stdout).text()), "");
});

processTest("A program in between may start the one that calls parent()", async () => {
  await using child = await start<string, string>(["wrapped"], { permissions: ["-A"] });
  await child.send("hello");
  assertEquals(await soon(child.recv()), "hello");
  assert(child.peer?.pid !== child.pid);
});

processTest("parent() returns the same end again; nobody else below the child gets one", async () => {
  await using child = await start<unknown, [boolean, string, string]>(["again"], { permissions: ["-A"] });
  const [same, inWorker, below] = await soon(child.recv());
  assert(same);
  for (const text of [inWorker, below]) {
    assertStringIncludes(text, "NotFound: Cannot find the parent: it does not wait");
  }
});

processTest("Strangers at the name of a parent hold nobody up, and get nothing", async () => {
  const open: UnixSocket[] = [];
  const names = () =>
    Deno.readTextFileSync("/proc/net/unix").split("\n").map((line) => line.split(" ").at(-1)!)
      .filter((name) => name.startsWith("@isthmus-parent-"));
  const before = new Set(names());
  const starting = start<string, string>(["echo"]);
  for (let tries = 0; open.length === 0 && tries < 1000; tries++) {
    for (const name of names().filter((name) => !before.has(name))) {
      for (let i = 0; i < 20; i++) open.push(UnixSocket.connect(name));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const { sendFds } = await import("../../../ffi/mod.ts");
  for (const [i, socket] of open.entries()) {
    if (i % 2 === 0) await sendFds(socket, crypto.getRandomValues(new Uint8Array(32)), []);
  }
  await using child = await starting;
  await child.send("hello");
  assertEquals(await soon(child.recv()), "hello");
  assertEquals(child.peer?.pid, child.pid);
  for (const socket of open) socket.close();
});

for (const step of ["parent-looked-up", "parent-told"]) {
  processTest(`A child that is killed at "${step}" is an error or a conversation at its end`, async () => {
    const starting = start<unknown, string>(["killed", step], { permissions: ["-A"] });
    if (step === "parent-looked-up") {
      const error = await assertIpcError("Disconnected", () => soon(starting));
      assertStringIncludes(error.message, "SIGKILL");
    } else {
      await using child = await soon(starting);
      await assertIpcError("Disconnected", () => soon(child.recv()));
      assertEquals((await soon(child.status)).signal, "SIGKILL");
    }
  });
}

processTest("A child whose parent does not wait any more is told", async ({ spawn: run }) => {
  const child = run(["run", "--quiet", "--allow-ffi", SPAWNED.href, "late"], {
    ISTHMUS_PARENT: `@isthmus-parent-${crypto.randomUUID()}:${"0".repeat(32)}`,
  });
  await child.tell();
  assertStringIncludes(await child.text(), "does not wait for this program");
  const odd = run(["run", "--quiet", "--allow-ffi", SPAWNED.href, "late"], { ISTHMUS_PARENT: "@a:b:c" });
  await odd.tell();
  assertStringIncludes(await odd.text(), "holds something else");
});

lookingTest("What cannot be started says why", async () => {
  await assertIpcError("NotFound", () => spawn("no-such-program-at-all"));
  const folder = await assertIpcError("NotFound", () => spawn("true", { cwd: "/no/such/folder" }));
  assertStringIncludes(folder.message, "/no/such/folder");
  await assertIpcError("Permission", () => spawn("/etc/passwd"));
  for (
    const wrong of [
      () => spawn(5 as unknown as string),
      () => spawn(""),
      () => spawn("true", { args: "a" as unknown as string[] }),
      () => spawn("true", { permissions: ["-A"] }),
      () => spawn("true", { stdin: "pipe" as "piped" }),
      () => spawn("true", { env: { A: 1 } as unknown as Record<string, string> }),
      () => spawn("true", { cwd: 1 as unknown as string }),
      () => spawn("true", { timeout: -1 }),
      () => spawn("true", { signal: {} as AbortSignal }),
      () => spawn("true", null as unknown as SpawnOptions),
    ]
  ) await assertRejects(wrong, TypeError, "Cannot ");
  await assertRejects(() => spawn("true", { capacity: 0 }), RangeError);
});

test("parent() of a program that nobody spawned is NotFound", () => {
  assertStringIncludes(assertIpcErrorSync("NotFound", () => parent()).message, "spawn()");
});

processTest("A child does not keep its parent alive", async ({ spawn: run }) => {
  const parent = run(["run", "--quiet", "-A", SPAWNED.href, "has-child"]);
  assertEquals((await soon(parent.status)).code, 0);
});

processTest("Children one after another leave nothing", async () => {
  for (let i = 0; i < 20; i++) {
    await using child = await start<number, number>(["echo"]);
    await child.send(i);
    assertEquals(await soon(child.recv()), i);
  }
});

processTest("Programs that end at once, one after another, leave nothing", async () => {
  for (let i = 0; i < 200; i++) await assertIpcError("Disconnected", () => spawn("true"));
});
