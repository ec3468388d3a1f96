// The languages of the matrix: how the driver of each is started, or why this machine cannot.
import { compile, compiler } from "../../support/c_driver.ts";
import { Driver } from "../../support/driver.ts";
import { JavaScriptPackage } from "../../support/javascript_package.ts";
import { bun, type Found, node } from "../../support/javascript_runtimes.ts";
import { pythonPath } from "../../support/python.ts";

/** One language. */
export interface Language {
  readonly name: string;
  /** Why it is left out; `undefined` if it is there. */
  readonly missing?: string;
  start(): Driver;
}

const HERE = "tests/languages/matrix";
const ROOT = new URL("../../../", import.meta.url).pathname;

function language(
  name: string,
  program: () => { path: string; args: readonly string[]; env?: Record<string, string> },
): Language {
  let known: ReturnType<typeof program> | undefined;
  return {
    name,
    start() {
      const { path, args, env = {} } = known ??= program();
      return new Driver(name, new Deno.Command(path, { ...Driver.STREAMS, args: [...args], env }));
    },
  };
}

const without = (name: string, missing: string): Language => ({
  name,
  missing,
  start: () => {
    throw new Error(missing);
  },
});

const deno = language("Deno", () => ({
  path: Deno.execPath(),
  args: ["run", "--quiet", "--no-check", "--allow-all", `${ROOT}${HERE}/driver.ts`],
}));

/** Made once, for both runtimes; removed when the tests end. */
let made: JavaScriptPackage | undefined;

function driverModule(): string {
  if (made === undefined) {
    const built = made = new JavaScriptPackage([`${HERE}/driver.ts`, `${HERE}/driver_messages.ts`]);
    globalThis.addEventListener("unload", () => built[Symbol.dispose]());
  }
  return made.module(`${HERE}/driver.ts`);
}

function javaScript(name: string, found: Found): Language {
  if ("missing" in found) return without(name, found.missing);
  const { path, flags } = found.runtime;
  return language(name, () => ({ path, args: [...flags, driverModule()] }));
}

function python(): Language {
  const found = pythonPath();
  if (found === undefined) return without("Python", "there is no python3, or pip cannot install cbor2");
  const { path, folder } = found;
  if (folder !== undefined) globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  const env = { PYTHONPATH: [`${ROOT}clients/python`, path].filter((part) => part !== "").join(":") };
  // Without files of bytecode: the sources stay as they are.
  return language("Python", () => ({ path: "python3", args: ["-B", `${ROOT}${HERE}/driver.py`], env }));
}

function c(): Language {
  if (compiler === undefined) return without("C", "there is no C compiler");
  return language("C", () => ({ path: compile(`${HERE}/driver.c`), args: [] }));
}

/** All five. */
export const languages =
  (): Language[] => [deno, javaScript("Node.js", node()), javaScript("Bun", bun()), python(), c()];
