// `isthmus` as one executable file. `deno compile` fetches a part of it from Deno's own server, unless DENORT_BIN names
// that part: run by `deno task test:slow`.
import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../../deno.json" with { type: "json" };

const ROOT = new URL("../..", import.meta.url).pathname;

Deno.test("The compiled command measures with a second process, sends and receives", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const program = `${folder}/isthmus`;
    const [, ...args] = config.tasks["cli:compile"].command.replace("--output isthmus", `--output ${program}`).split(
      " ",
    );
    const compiled = await run(Deno.execPath(), args, ROOT);
    if (compiled.code !== 0 && compiled.err.includes("dl.deno.land")) {
      return console.log("Not tried, as dl.deno.land cannot be reached from here");
    }
    assertEquals(compiled.code, 0, compiled.err);

    assertEquals(await run(program, ["--version"]), { code: 0, out: `isthmus ${config.version}\n`, err: "" });
    assertMatch((await run(program, ["doctor"])).out, /^ok {4}atomics +two processes added/m);
    const { figures } = JSON.parse((await run(program, ["bench", "--json"])).out);
    assert(figures.length > 0);
    assertEquals(await run(program, ["send", `${folder}/channel`, "one", "two"]), { code: 0, out: "", err: "" });
    assertEquals((await run(program, ["recv", `${folder}/channel`, "--count=2"])).out, "one\ntwo\n");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

async function run(program: string, args: string[], cwd = "/") {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, cwd, stdin: "null" }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}
