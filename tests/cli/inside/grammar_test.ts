// What is the same for all commands: names, values and flags.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { IpcArc, IpcReceiver, IpcSender } from "../../../mod.ts";
import { FORMAT_VERSION } from "../../../channel/ring/layout.ts";
import { folderTest } from "../../support/folder.ts";
import { isthmus, isthmusArguments, killed, Running } from "../../support/isthmus.ts";
import { processTest } from "../../support/test.ts";

processTest("A name that cannot be one is told in one line, by every command", async () => {
  for (const command of ["show", "watch", "rm", "ls", "send", "recv"]) {
    for (const name of ["", ...(command === "send" || command === "recv" ? [] : ["x".repeat(201)])]) {
      const { code, out, err } = await isthmus(command, name);
      assertEquals([code, out], [2, ""], `${command} ${name}`);
      assertEquals(err.trim().split("\n").length, 2, err); // and where the help is
      assert(!err.includes(".ts:"), err);
    }
  }
  const { code, err } = await isthmus("set", "", "1");
  assertEquals([code, err.includes(".ts:")], [2, false]);
});

folderTest("send and recv take no bare name, and make nothing in the current folder", async (folder) => {
  for (
    const args of [["send", "jobs", "hi"], ["recv", "jobs", "--timeout=0"], ["gc", "jobs"], ["send", "@jobs", "hi"]]
  ) {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: isthmusArguments(args),
      cwd: folder.path,
      stdin: "null",
    }).output();
    const err = new TextDecoder().decode(stderr);
    assertEquals(code, 2, err);
    assertStringIncludes(err, "has a slash");
  }
  assertEquals(folder.files(), []);
});

processTest("A flag that takes no value refuses one, and does nothing", async () => {
  const name = `flags-${crypto.randomUUID()}`, dead = `${name}-dead`;
  using _cell = IpcArc.create(name, 1);
  await killed(`isthmus.IpcArc.create(${JSON.stringify(dead)}, 1)`);
  const cases = [["rm", name, "--force=0"], ["rm", name, "-f=no"], ["gc", "--yes=no"], ["gc", "-y=0"], [
    "ls",
    "--json=",
  ]];
  for (const args of cases) {
    const { code, out, err } = await isthmus(...args);
    assertEquals([code, out], [2, ""], args.join(" "));
    assertStringIncludes(err, "takes no value");
  }
  assertStringIncludes((await isthmus("ls")).out, dead);
  assertEquals((await isthmus("rm", dead)).code, 0);
});

processTest("gc of a folder that is not there fails before it removes anything", async () => {
  const dead = `gc-${crypto.randomUUID()}`;
  await killed(`isthmus.IpcArc.create(${JSON.stringify(dead)}, 1)`);
  const { code, out, err } = await isthmus("gc", "/nonexistent", "--yes");
  assertEquals([code, out, err], [1, "", 'isthmus: Cannot look at "/nonexistent": it is not a folder\n']);
  assertEquals(await isthmus("rm", dead), { code: 0, out: `removed ${dead}\n`, err: "" });
});

folderTest("A value is JSON for set and for send", async ({ channel: path }) => {
  const name = `value-${crypto.randomUUID()}`;
  using cell = IpcArc.create<unknown>(name, null);
  using receiver = IpcReceiver.create<unknown>(path);
  for (const text of ['{"a":1}', "[1,2]", "42", '"42"', "true", "null", '{"$bigint":"7"}']) {
    assertEquals((await isthmus("set", name, text)).code, 0);
    assertEquals((await isthmus("send", path, text)).code, 0);
    assertEquals(receiver.recvSync({ timeout: 0 }), cell.read(), text);
  }
  for (const text of ["{a:1}", '"open', "[1", '{"$byte":1}']) {
    for (const command of [["set", name, text], ["send", path, text]]) {
      assertEquals((await isthmus(...command)).code, 1, command.join(" "));
    }
  }
  // A message may be a bare text.
  assertEquals((await isthmus("send", path, "hello there")).code, 0);
  assertEquals(receiver.recvSync({ timeout: 0 }), "hello there");
  using sender = IpcSender.open(path);
  sender.sendSync(1);
  assertEquals(JSON.parse((await isthmus("show", path, "--json")).out).header.format, FORMAT_VERSION);
  assertEquals(receiver.recvSync({ timeout: 0 }), 1);
});

folderTest("watch ends when nobody reads any more, also while nothing changes", async ({ channel: path }) => {
  const name = `watch-${crypto.randomUUID()}`;
  using _cell = IpcArc.create(name, 1);
  using _receiver = IpcReceiver.create(path);
  for (const what of [name, path]) {
    await using watch = new Running("watch", what);
    await watch.line();
    await watch.stopReading();
    const ended = await watch.process.status;
    assertEquals(ended.code, 0, what);
  }
});
