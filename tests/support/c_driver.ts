// Programs in C at the other end: compiled when they are first needed, told what to do by lines.
import { Driver } from "./driver.ts";

const granted = (["run", "read", "write"] as const)
  .every((name) => Deno.permissions.querySync({ name }).state === "granted");

/** The C compiler of this machine, if tests may use one. */
export const compiler: string | undefined = !granted ? undefined : ["gcc", "clang", "cc"].find((name) => {
  try {
    return new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
});

const root = new URL("../../", import.meta.url).pathname;
const compiled = new Map<string, string>();

/** Compiles a program that includes the header; returns where it is. Removed when the tests end. */
export function compile(source: string): string {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  const folder = Deno.makeTempDirSync({ prefix: "isthmus-test-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  const program = `${folder}/program`;
  const { success, stderr } = new Deno.Command(compiler!, {
    args: [
      "-O2",
      "-std=c11",
      "-Wall",
      "-Wextra",
      "-Werror",
      `-I${root}clients/c`,
      "-o",
      program,
      root + source,
      "-pthread",
    ],
    stderr: "piped",
  }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  compiled.set(source, program);
  return program;
}

/** A driver of the matrix in C: see `tests/languages/matrix/driver.c`. */
export class CDriver extends Driver {
  constructor() {
    super("The C program", new Deno.Command(compile("tests/languages/matrix/driver.c"), Driver.STREAMS));
  }
}
