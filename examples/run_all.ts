// Runs every example in order, says what each shows, and fails if one fails.
//
//   deno run --allow-run --allow-read --allow-write examples/run_all.ts

interface Example {
  file: string;
  args?: string[];
  shows: string;
  permissions?: string[];
}

const FOLDER = import.meta.dirname!;

/** `--allow-run` for nothing but Deno itself. */
const RUN = `--allow-run=${Deno.execPath()}`;

const EXAMPLES: Example[] = [
  { file: "spawn_child.ts", shows: "a parent and its child get a channel each way by one name", permissions: [RUN] },
  { file: "worker_pool.ts", shows: "three processes pull jobs that carry their reply channel", permissions: [RUN] },
  {
    file: "share_file.ts",
    shows: "an open file goes to a process without any permission for files",
    permissions: [RUN, "--allow-read=.", "--allow-write=."],
  },
  { file: "router.ts", shows: "a dozen channels with a handler each, by one wait" },
  { file: "duplex_server.ts", shows: "one server and three clients, each with a conversation", permissions: [RUN] },
  {
    file: "ipmpsc_receive.ts",
    args: ["--demo"],
    shows: "lines typed into two senders appear at a receiver, which comes and goes",
    permissions: [RUN],
  },
  {
    file: "ipc_server.ts",
    args: ["--demo"],
    shows: "unrelated clients of one server, both directions",
    permissions: [RUN],
  },
  {
    file: "fd_give.ts",
    args: ["--demo"],
    shows: "a program hands its standard input to another",
    permissions: [RUN],
  },
  {
    file: "video_frames.ts",
    shows: "4K frames written and read in place",
    permissions: [RUN],
  },
  { file: "arc_config.ts", shows: "settings that several processes see change", permissions: [RUN] },
  { file: "arc_counter.ts", shows: "a shared value outlives the writers that are killed", permissions: [RUN] },
  { file: "arc_sensors.ts", shows: "numbers in shared memory, read in place", permissions: [RUN] },
  { file: "events.ts", shows: "five subscribers, of which one sleeps and one is killed", permissions: [RUN] },
  { file: "one_at_a_time.ts", shows: "a duty that passes on when its holder is killed", permissions: [RUN] },
  {
    file: "rate_limiter.ts",
    args: ["--demo"],
    shows: "a rate limit that four isolates of a web server keep exactly",
    permissions: [RUN, "--allow-net=127.0.0.1"],
  },
  {
    file: "job_queue.ts",
    args: ["--demo"],
    shows: "a web server and three workers, one of which is killed: no request notices",
    permissions: [RUN, "--allow-net=127.0.0.1"],
  },
  {
    file: "metrics.ts",
    args: ["--demo"],
    shows: "samples of four processes in one place, and none is lost when they are told to end",
    permissions: [RUN, "--allow-net=127.0.0.1"],
  },
  {
    file: "demo.ts",
    shows: "a file through a channel, its progress in a shared cell",
    permissions: [RUN, "--allow-read", "--allow-env=INIT_CWD"],
  },
];

/** Milliseconds after which an example counts as hanging. */
const PATIENCE = 60_000;

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

async function run({ file, args = [], permissions = [] }: Example): Promise<boolean> {
  const folder = Deno.makeTempDirSync();
  try {
    const process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--config",
        `${FOLDER}/../deno.json`,
        "--allow-ffi",
        ...permissions,
        `${FOLDER}/${file}`,
        ...args,
      ],
      cwd: folder,
      stdin: "null",
    }).spawn();
    const timer = setTimeout(() => {
      console.error(`${file} hangs: ended after ${PATIENCE} ms`);
      process.kill("SIGKILL");
    }, PATIENCE);
    const { success } = await process.status;
    clearTimeout(timer);
    return success;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const failed: string[] = [];
for (const example of EXAMPLES) {
  if (!exists(`${FOLDER}/${example.file}`)) continue;
  console.log(`--- ${example.file}: ${example.shows}`);
  if (!await run(example)) failed.push(example.file);
  console.log();
}
if (failed.length > 0) {
  console.error(`Failed: ${failed.join(", ")}`);
  Deno.exitCode = 1;
} else {
  console.log("All examples ran");
}
