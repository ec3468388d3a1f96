// `isthmus completions`: the scripts, run by the shells that this machine has.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { IpcArc } from "../../../mod.ts";
import { isthmus, isthmusArguments } from "../../support/isthmus.ts";
import { folderTest } from "../../support/folder.ts";
import { processTest } from "../../support/test.ts";

/** Runs a shell with `isthmus` on its path; `undefined`, with a word about it, where there is no such shell. */
async function inShell(shell: string, folder: string, script: string): Promise<string | undefined> {
  const program = [Deno.execPath(), ...isthmusArguments([])].map((word) => `'${word}'`).join(" ");
  Deno.writeTextFileSync(`${folder}/isthmus`, `#!/bin/sh\nexec ${program} "$@"\n`, { mode: 0o755 });
  try {
    const { stdout, stderr } = await new Deno.Command(shell, {
      args: ["-c", script],
      env: { PATH: `${folder}:${Deno.env.get("PATH")}`, HOME: folder },
      cwd: folder,
      stdin: "null",
    }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log(`Not tried in ${shell}, which is not on this machine`);
    return undefined;
  }
}

/** What bash would offer behind these words. */
function offeredByBash(words: readonly string[]): string {
  const list = words.map((word) => `'${word}'`).join(" ");
  return `COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _isthmus; printf '%s\\n' "\${COMPREPLY[@]}"`;
}

folderTest("bash completes commands, flags and names, and runs nothing that is in a name", async (folder) => {
  const name = `complete-${crypto.randomUUID()}-$(touch ${folder.path.split("/").at(-1)}-ran)`;
  using _cell = IpcArc.create(name, 0);
  const script = "source <(isthmus completions bash)\n";
  const offered = await inShell(
    "bash",
    folder.path,
    script + [["isthmus", "wa"], ["isthmus", "top", "--in"], ["isthmus", "completions", ""], [
      "isthmus",
      "show",
      name.slice(0, 20),
    ]].map(offeredByBash).join("\n"),
  );
  if (offered === undefined) return;
  assertEquals(offered.split("\n"), ["watch", "--interval=", "bash", "zsh", "fish", name, ""]);
  assertEquals([...Deno.readDirSync(folder.path)].filter(({ name }) => name.endsWith("-ran")), []);
});

folderTest("fish completes commands, flags and names", async (folder) => {
  const name = `complete-${crypto.randomUUID()}`;
  using _cell = IpcArc.create(name, 0);
  const offered = await inShell(
    "fish",
    folder.path,
    `isthmus completions fish | source; complete -C 'isthmus wa'; complete -C 'isthmus top --in'; complete -C 'isthmus show ${
      name.slice(0, 20)
    }'`,
  );
  if (offered === undefined) return;
  assertEquals(offered.split("\n").map((line) => line.split("\t")[0]), ["watch", "--interval", name, ""]);
});

folderTest("zsh reads the script", async (folder) => {
  const said = await inShell("zsh", folder.path, "isthmus completions zsh > _isthmus; zsh -n _isthmus && echo fine");
  if (said !== undefined) assertEquals(said, "fine\n");
});

processTest("isthmus completions names the shells that there are scripts for", async () => {
  const { code, err } = await isthmus("completions", "bsh");
  assertEquals(code, 2);
  assertStringIncludes(err, "but for bash, zsh, fish");
  const { out } = await isthmus("completions", "bash");
  for (const hidden of ["doctor-peer", "bench-peer"]) {
    assert(!out.includes(hidden), "internal commands are not offered");
  }
});
