// Python of this machine, with the library that it needs for CBOR.

/** Where the environment has Python look first. */
function inherited(): string {
  const { state } = Deno.permissions.querySync({ name: "env", variable: "PYTHONPATH" });
  return state === "granted" ? Deno.env.get("PYTHONPATH") ?? "" : "";
}

/** Where Python finds cbor2, for `PYTHONPATH`: as it is, or in a folder that pip fills; `undefined` if it cannot. */
export function pythonPath(): { path: string; folder?: string } | undefined {
  const run = (args: string[], env: Record<string, string> = {}) => {
    try {
      return new Deno.Command("python3", { args, env, stdout: "null", stderr: "null" }).outputSync().success;
    } catch {
      return false;
    }
  };
  if (!run(["-c", "0"])) return undefined;
  if (run(["-c", "import cbor2"])) return { path: inherited() };
  const folder = Deno.makeTempDirSync({ prefix: "isthmus-test-" });
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder, "cbor2"];
  if (run(pip) && run(["-c", "import cbor2"], { PYTHONPATH: folder })) return { path: folder, folder };
  Deno.removeSync(folder, { recursive: true });
  return undefined;
}
