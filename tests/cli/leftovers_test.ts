// `isthmus gc` and `isthmus rm`, run as processes.
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { IpcArc, IpcReceiver, IpcSender } from "../../mod.ts";
import { processTest } from "../support/test.ts";

const CLI = new URL("../../cli/mod.ts", import.meta.url).pathname;

async function isthmus(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-ffi", CLI, ...args],
    stdin: "null",
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** Runs a script that kills itself at its end. */
async function killed(script: string): Promise<void> {
  const module = new URL("../../mod.ts", import.meta.url).href;
  const { signal } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", `import * as isthmus from ${JSON.stringify(module)};${script};Deno.kill(Deno.pid, "SIGKILL");`],
    stdin: "null",
  }).output();
  assertEquals(signal, "SIGKILL");
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

processTest("isthmus gc removes the channel of a killed receiver, and only with --yes", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/left`;
    await killed(`isthmus.IpcReceiver.create(${JSON.stringify(path)})`);
    const looked = await isthmus("gc", folder);
    assertEquals(looked.code, 0);
    assertStringIncludes(looked.out, `would remove  channel  ${path}`);
    assertEquals(names(folder), ["left", "left.bell", "left.room"]);

    const removed = await isthmus("gc", folder, "--yes");
    assertStringIncludes(removed.out, `removed  channel  ${path}`);
    assertEquals(names(folder), []);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

processTest("isthmus gc never touches a channel that is in use, or that holds messages, or another file", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const living = IpcReceiver.create<number>(`${folder}/living`);
    await killed(`isthmus.IpcSender.open(${JSON.stringify(`${folder}/full`)}).sendSync("kept")`);
    Deno.writeTextFileSync(`${folder}/other`, "mine");
    Deno.writeTextFileSync(`${folder}/other.bell`, "mine");

    const { code, out } = await isthmus("gc", folder, "--yes", "--json");
    assertEquals(code, 0);
    const report = JSON.parse(out);
    assertEquals(report.channels, []);
    assertEquals(report.kept, [{ path: `${folder}/full`, waiting: 64 }]);

    using sender = IpcSender.open<number>(`${folder}/living`);
    sender.sendSync(1);
    assertEquals(living.recvSync(), 1);
    const receiver = IpcReceiver.create<string>(`${folder}/full`);
    assertEquals(receiver.recvSync(), "kept");
    receiver.close();
    sender.close();
    living.close();
    assertEquals(names(folder), ["other", "other.bell"]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

processTest("isthmus gc removes the cell of a killed process", async () => {
  const name = `gc-${crypto.randomUUID()}`;
  await killed(`isthmus.IpcArc.create(${JSON.stringify(name)}, 1)`);
  assertMatch((await isthmus("gc")).out, new RegExp(`would remove {2}cell {5}${name}`));
  assertMatch((await isthmus("gc", "--yes")).out, new RegExp(`removed {2}cell {5}${name}`));
});

processTest("isthmus rm removes what nobody uses, and what is in use with --force alone", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/named`;
    const receiver = IpcReceiver.create<number>(path);
    const refused = await isthmus("rm", path);
    assertEquals([refused.code, refused.out], [1, ""]);
    assertStringIncludes(refused.err, "a living process uses it");
    assertEquals(names(folder).length, 3);
    assertEquals(await isthmus("rm", path, "--force"), { code: 0, out: `removed ${path}\n`, err: "" });
    assertEquals(names(folder), []);
    receiver.close();

    const gone = await isthmus("rm", path);
    assertEquals(gone.code, 1);
    assertStringIncludes(gone.err, "there is no named channel at that path");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

processTest("isthmus rm leaves a cell that is in use, and names one that does not exist", async () => {
  const name = `rm-${crypto.randomUUID()}`;
  using cell = IpcArc.create(name, 1);
  const refused = await isthmus("rm", name);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.err, "a living process uses it");
  assertEquals(cell.read(), 1);
  const missing = await isthmus("rm", `${name}-not`);
  assertEquals(missing.code, 1);
  assertStringIncludes(missing.err, "there is no shared cell of that name");
});
