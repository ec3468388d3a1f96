// `isthmus` as a command of its own, installed from this checkout.
import { assertEquals, assertMatch } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { processTest } from "../support/test.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

processTest("The task that installs the command makes one that runs anywhere, with a second process too", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    // As the task does, but elsewhere than in the home folder of the user.
    const [deno, ...args] = config.tasks["cli:install"].command.split(" ");
    assertEquals(deno, "deno");
    const installed = await run(Deno.execPath(), [...args.slice(0, 2), "--root", folder, ...args.slice(2)], ROOT);
    assertEquals(installed.code, 0, installed.err);

    const program = `${folder}/bin/isthmus`;
    assertEquals(await run(program, ["--version"], "/"), { code: 0, out: `isthmus ${config.version}\n`, err: "" });
    const { code, out, err } = await run(program, ["doctor"], "/");
    assertEquals([code, err], [0, ""], out);
    assertMatch(out, /^ok {4}atomics +two processes added/m);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

async function run(program: string, args: string[], cwd: string) {
  // What is installed starts Deno by its name.
  const env = { PATH: `${Deno.execPath().replace(/\/[^/]*$/, "")}:/usr/bin:/bin`, NO_COLOR: "1" };
  const { code, stdout, stderr } = await new Deno.Command(program, { args, cwd, env, stdin: "null" }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}
