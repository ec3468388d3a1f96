// The package as the registry gives it to Node.js and Bun: JavaScript, by the same transpiler, beside its dependency.
import { cached } from "./javascript_runtimes.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const ROOMS = ["base", "cbor", "ffi", "channel", "arc"];

/** The sources below a folder. */
function* sources(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(ROOT + folder)) {
    if (isDirectory) yield* sources(`${folder}/${name}`);
    else if (name.endsWith(".ts")) yield `${folder}/${name}`;
  }
}

/** The version of `cbor-x` that this checkout is locked to. */
function lockedVersion(): string {
  const { specifiers } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.lock`)) as {
    specifiers: Record<string, string>;
  };
  return Object.entries(specifiers).find(([name]) => name.startsWith("npm:cbor-x@"))![1];
}

function copyFolder(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) copyFolder(`${from}/${name}`, `${to}/${name}`);
    else Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}

/** As the registry does: what is imported by its path has the extension of JavaScript. */
const renamed = (code: string) => code.replace(/(\b(?:from|import)\s*\(?\s*"\.[^"]*)\.ts"/g, '$1.js"');

/** The package, in a folder of its own that is removed when it is disposed of. */
export class JavaScriptPackage implements Disposable {
  /** Where it is, without a slash at the end. */
  readonly path: string;
  /** Its modules, without those programs. */
  readonly files: readonly string[];

  /** @param programs Other modules of this checkout that import it, by their paths below the checkout. */
  constructor(programs: readonly string[] = []) {
    this.path = Deno.makeTempDirSync({ prefix: "isthmus-test-" });
    const own = ["mod.ts", ...ROOMS.flatMap((room) => [...sources(room)])], files = [...own, ...programs];
    this.files = own.map((file) => this.module(file));
    const args = ["transpile", "--quiet", "--no-check", "--outdir", this.path, ...files];
    const { success, stderr } = new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    for (const file of files) {
      const path = this.module(file);
      Deno.writeTextFileSync(path, renamed(Deno.readTextFileSync(path)));
    }
    const version = lockedVersion();
    const dependency = cached("cbor-x", version);
    if (dependency === undefined) throw new Error(`Deno's cache has no cbor-x ${version}`);
    copyFolder(dependency, `${this.path}/node_modules/cbor-x`);
    Deno.writeTextFileSync(`${this.path}/package.json`, '{ "type": "module" }\n');
  }

  /** Where a source file of the checkout is in JavaScript. */
  module(source: string): string {
    return `${this.path}/${source.replace(/\.ts$/, ".js")}`;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
