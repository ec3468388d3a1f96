// An arm64 machine made of QEMU's user mode: the kernel stays this machine's, the processor is emulated.
//
// The test files run in namespaces of their own. There every arm64 executable is started by QEMU, also by tests that
// start processes; nothing is registered outside, and all of it ends with the process that made it.

/** What has to be installed, as Debian calls it. */
const INSTALL = "apt-get install -y qemu-user gcc libc6-dev gcc-aarch64-linux-gnu";

/** The C library and the rest that arm64 executables load. */
const SYSROOT = "/usr/aarch64-linux-gnu";

/**
 * The processor: Arm's for servers, with the atomic instructions of ARMv8.1. QEMU's own choice signs pointers too, which
 * takes it eight times as long.
 */
const PROCESSOR = "neoverse-n1";

/** The first bytes of an arm64 executable, 64-bit and little-endian, as `binfmt_misc` takes them. */
const MAGIC = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
/** Which bits of them count: the ABI does not, and shared objects are executables as well. */
const MASK = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;

/** The shell stays: the first process of a PID namespace inherits orphans, which the tests would take for their own. */
const INSIDE = `
  mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
  printf %s "$RULE" >/proc/sys/fs/binfmt_misc/register &&
  mount -t tmpfs tmpfs /dev/shm || exit
  unset RULE
  "$@"
`;

/** Runs commands for arm64. */
export class Arm64Machine {
  readonly #folder: string;
  readonly #rule: string;
  /** The arm64 build of Deno. */
  readonly deno: string;
  /** Its version. */
  readonly version: string;

  private constructor(folder: string, qemu: string, deno: string, version: string) {
    this.#folder = folder;
    this.#rule = `:arm64:M::${MAGIC}:${MASK}:${qemu}:POC`;
    this.deno = deno;
    this.version = version;
  }

  /**
   * Makes one.
   *
   * @param folder An empty folder for what it needs; the caller removes it.
   * @throws {Error} With what has to be installed.
   */
  static async make(folder: string): Promise<Arm64Machine> {
    const qemu = await find("qemu-aarch64");
    const compiler = await find("aarch64-linux-gnu-gcc");
    if (qemu === undefined || compiler === undefined || await find("gcc") === undefined || !isFolder(SYSROOT)) {
      throw new Error(`QEMU's user mode, a C compiler or an arm64 C library is missing: ${INSTALL}`);
    }
    // C programs of the tests are for the processor that Deno runs on.
    Deno.mkdirSync(`${folder}/bin`);
    Deno.symlinkSync(compiler, `${folder}/bin/gcc`);
    await compilePlugin(qemu, folder);
    Deno.mkdirSync(`${folder}/tmp`);
    const { path, version } = await arm64Deno();
    const machine = new Arm64Machine(folder, qemu, path, version);
    const { success, stdout, stderr } = await machine.command(["eval", "-p", "Deno.build.arch"]).output();
    if (!success || new TextDecoder().decode(stdout).trim() !== "aarch64") {
      throw new Error(
        `Emulation does not work: ${new TextDecoder().decode(stderr).trim()}\n` +
          "It needs user namespaces that may mount binfmt_misc: Linux 6.7 or later, and as root where they are restricted",
      );
    }
    return machine;
  }

  /** The arm64 Deno with arguments; the process that it gives can be killed, and takes all of its own with it. */
  command(args: string[], env: Record<string, string> = {}): Deno.Command {
    return new Deno.Command("unshare", {
      args: [
        ...["--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"],
        ...["sh", "-c", INSIDE, "sh", this.deno, ...args],
      ],
      env: {
        RULE: this.#rule,
        QEMU_LD_PREFIX: SYSROOT,
        QEMU_CPU: PROCESSOR,
        QEMU_PLUGIN: `file=${this.#folder}/robust_list.so`,
        PATH: `${this.#folder}/bin:${Deno.env.get("PATH")}`,
        TMPDIR: `${this.#folder}/tmp`,
        DENO_DIR: `${this.#folder}/deno`,
        DENO_NO_UPDATE_CHECK: "1",
        NO_COLOR: "1",
        ...env,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }

  /** Fetches what a run of these files imports, without emulation, which would take its time. */
  async fetch(files: string[]): Promise<void> {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["cache", "--quiet", ...files],
      env: { DENO_DIR: `${this.#folder}/deno` },
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

async function find(program: string): Promise<string | undefined> {
  const { success, stdout } = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`] }).output();
  return success ? new TextDecoder().decode(stdout).trim() : undefined;
}

/** QEMU takes plugins for a range of versions of its interface: the first that it takes is as good as another. */
async function compilePlugin(qemu: string, folder: string): Promise<void> {
  const source = new URL("./robust_list.c", import.meta.url).pathname;
  const program = `${folder}/robust_list.so`;
  await run("aarch64-linux-gnu-gcc", ["-x", "c", "-o", `${folder}/true`, "-"], "int main(void) { return 0; }\n");
  let said = "";
  for (let version = 1; version <= 8; version++) {
    const flags = ["-O2", "-Wall", "-Werror", "-shared", "-fPIC", `-DPLUGIN_VERSION=${version}`];
    await run("gcc", [...flags, "-o", program, source]);
    const { success, stderr } = await new Deno.Command(qemu, {
      args: ["-L", SYSROOT, "-plugin", `file=${program}`, `${folder}/true`],
    }).output();
    if (success) return;
    said = new TextDecoder().decode(stderr).trim();
  }
  throw new Error(`QEMU does not take the plugin that tells the kernel of robust mutexes: ${said}`);
}

async function run(program: string, args: string[], input = ""): Promise<string> {
  const process = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await process.output();
  if (!success) throw new Error(`"${program} ${args.join(" ")}" failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/**
 * Deno's arm64 build from npm, of the version that runs here or, where the registry does not have that yet, the latest
 * of the same minor version. Deno keeps it in its cache, like any other dependency.
 */
async function arm64Deno(): Promise<{ path: string; version: string }> {
  const name = "@deno/linux-arm64-glibc";
  const minor = Deno.version.deno.split(".").slice(0, 2).join(".");
  const wanted = [Deno.version.deno, `~${minor}.0`];
  const { npmCache } = JSON.parse(await run(Deno.execPath(), ["info", "--json"]));
  const folder = `${npmCache}/registry.npmjs.org/${name}`;
  for (const [i, version] of wanted.entries()) {
    try {
      await run(Deno.execPath(), ["cache", "--quiet", "--no-config", "--no-lock", `npm:${name}@${version}`]);
    } catch (error) {
      if (i === wanted.length - 1) throw error;
      continue;
    }
    const patches = [...Deno.readDirSync(folder)].map((entry) => entry.name)
      .filter((entry) => i === 0 ? entry === version : entry.startsWith(`${minor}.`))
      .sort((a, b) => Number(a.split(".")[2]) - Number(b.split(".")[2]));
    const found = patches.at(-1)!;
    return { path: `${folder}/${found}/deno`, version: found };
  }
  throw new Error("unreachable");
}
