// What the figures were measured on, as a table in Markdown.

/** The machine, its system, and the versions of what was measured. */
export async function machine(): Promise<string> {
  const cpu = /model name\s*:\s*(.+)/.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? Deno.build.arch;
  const gib = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  const release = /PRETTY_NAME="(.+)"/.exec(Deno.readTextFileSync("/etc/os-release"))?.[1] ?? "Linux";
  const load = Deno.loadavg().map((number) => number.toFixed(2)).join(", ");
  const peers = [
    `ipc-channel ${crate("rust", "ipc-channel")}`,
    `ipmpsc ${crate("rust", "ipmpsc")}`,
    `iceoryx2 ${crate("iceoryx2", "iceoryx2")}`,
    `rustc ${await version("rustc", /rustc (\S+)/)}`,
    `gcc ${await version("gcc", /(\d+\.\d+\.\d+)$/m)}`,
    `Node.js ${await version("node", /v(.+)/)}`,
    `Redis ${await version("redis-server", /v=(\S+)/)}`,
  ];
  return [
    "| | |",
    "|---|---|",
    `| Machine | ${navigator.hardwareConcurrency} processors, ${cpu}, ${gib} GiB |`,
    `| System | ${release}, Linux ${Deno.osRelease()} |`,
    `| Deno | ${Deno.version.deno} (V8 ${Deno.version.v8}) |`,
    `| Peers | ${peers.join(", ")} |`,
    `| Load average at the end | ${load} |`,
  ].join("\n");
}

/** The version of a crate, as its program is locked to it. */
function crate(folder: string, name: string): string {
  const text = Deno.readTextFileSync(new URL(`../peers/${folder}/Cargo.lock`, import.meta.url));
  return new RegExp(`name = "${name}"\nversion = "([^"]+)"`).exec(text)?.[1] ?? "of unknown version";
}

async function version(program: string, pattern: RegExp): Promise<string> {
  try {
    const { stdout } = await new Deno.Command(program, { args: ["--version"], stderr: "null" }).output();
    return pattern.exec(new TextDecoder().decode(stdout))?.[1] ?? "of unknown version";
  } catch {
    return "(not there)";
  }
}
