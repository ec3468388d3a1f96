// Node.js and Bun of this machine: from the PATH if they are new enough, else by npm from Deno's cache.

/** A JavaScript runtime that is not Deno. */
export interface JavaScriptRuntime {
  readonly name: "Node.js" | "Bun";
  /** Its program. */
  readonly path: string;
  /** What stands before the program's own arguments. */
  readonly flags: readonly string[];
  readonly version: string;
}

/** A runtime, or why there is none. */
export type Found = { readonly runtime: JavaScriptRuntime } | { readonly missing: string };

/** What npm is asked for: packages that are the program itself, and run nothing when they are installed. */
const FROM_NPM = {
  node: { name: `node-linux-${Deno.build.arch === "aarch64" ? "arm64" : "x64"}`, version: "26.10.0" },
  bun: { name: `@oven/bun-linux-${Deno.build.arch === "aarch64" ? "aarch64" : "x64"}`, version: "1.4.5" },
} as const;

/** What a program prints, or `undefined` if it cannot be run or fails. */
function output(program: string, args: readonly string[]): string | undefined {
  try {
    const { success, stdout } = new Deno.Command(program, { args: [...args], stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch {
    return undefined;
  }
}

const HAS_FFI = 'process.getBuiltinModule("node:ffi").dlopen; console.log(process.version)';

function nodeAt(path: string): JavaScriptRuntime | undefined {
  const quiet = ["--disable-warning=ExperimentalWarning"];
  for (const flags of [quiet, [...quiet, "--experimental-ffi"]]) {
    const version = output(path, [...flags, "-e", HAS_FFI]);
    if (version !== undefined) return { name: "Node.js", path, flags, version };
  }
  return undefined;
}

function bunAt(path: string): JavaScriptRuntime | undefined {
  const version = output(path, ["--version"]);
  return version === undefined ? undefined : { name: "Bun", path, flags: [], version };
}

/** The program of a package, which Deno fetches into its cache if it is not there. */
function fromNpm(what: "node" | "bun"): string | undefined {
  const { name, version } = FROM_NPM[what];
  const deno = Deno.execPath();
  const fetched = output(deno, ["cache", "--no-config", "--no-lock", "--quiet", `npm:${name}@${version}`]);
  const folder = fetched === undefined ? undefined : cached(name, version);
  return folder === undefined ? undefined : `${folder}/bin/${what}`;
}

/** Where Deno's cache has a package of npm, whichever registry it came from. */
export function cached(name: string, version: string): string | undefined {
  const { npmCache } = JSON.parse(output(Deno.execPath(), ["info", "--json"]) ?? "{}") as { npmCache?: string };
  if (npmCache === undefined) return undefined;
  for (const { name: registry } of Deno.readDirSync(npmCache)) {
    const folder = `${npmCache}/${registry}/${name}/${version}`;
    try {
      if (Deno.statSync(folder).isDirectory) return folder;
    } catch {
      // It came from another registry.
    }
  }
  return undefined;
}

function find(what: "node" | "bun", at: (path: string) => JavaScriptRuntime | undefined): Found {
  if (Deno.build.os !== "linux") return { missing: `there is no ${what} for tests on ${Deno.build.os}` };
  const own = at(what);
  if (own !== undefined) return { runtime: own };
  const path = fromNpm(what);
  const { name, version } = FROM_NPM[what];
  if (path === undefined) return { missing: `npm has no ${name}@${version} here, and the PATH none that can call C` };
  const runtime = at(path);
  return runtime === undefined ? { missing: `${path} does not run here` } : { runtime };
}

/** Node.js with `node:ffi`. */
export const node = (): Found => find("node", nodeAt);

/** Bun. */
export const bun = (): Found => find("bun", bunAt);

/** A Node.js on the PATH that cannot call C. */
export function oldNode(): Found {
  const version = output("node", ["--version"]);
  if (version === undefined) return { missing: "there is no node on the PATH" };
  if (nodeAt("node") !== undefined) return { missing: `the node on the PATH is new enough: ${version}` };
  return { runtime: { name: "Node.js", path: "node", flags: [], version } };
}
