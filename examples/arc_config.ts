// A live configuration that three processes share: one changes it, two follow it and act on it at once.
//
//   deno run --allow-ffi --allow-run examples/arc_config.ts
//
// This file is all three: started without arguments it creates the configuration and starts the two followers.
import { IpcArc } from "@isthmus/ipc";

interface Config {
  logLevel: "info" | "debug";
  rateLimit: number;
  features: string[];
  stop: boolean;
}

const [role, name] = Deno.args;
if (role === undefined) await change();
else await follow(role, name!);

async function follow(role: string, name: string): Promise<void> {
  using config = IpcArc.load<Config>(name);
  // From here on no change is missed; then say that we are here.
  const changes = config.watch();
  await present(name, 1);
  for await (const now of changes) {
    console.log(
      `${role.padEnd(9)} ${Deno.pid}: level ${now.logLevel}, ${now.rateLimit}/s, [${now.features.join(", ")}]`,
    );
    // Skipping what is outdated is right here: what counts is the latest.
    await present(name, 1);
    if (now.stop) break;
  }
}

/** Counts, in a second cell, how often a follower has acted on the configuration. */
async function present(name: string, by: number): Promise<void> {
  using seen = IpcArc.load<number>(`${name}-seen`);
  await seen.update((count) => count + by);
}

async function change(): Promise<void> {
  const name = `example-config-${Deno.pid}`;
  using config = IpcArc.create<Config>(name, { logLevel: "info", rateLimit: 100, features: [], stop: false });
  using seen = IpcArc.create(`${name}-seen`, 0);
  const followers = ["gateway", "collector"].map((role) =>
    new Deno.Command(Deno.execPath(), { args: ["run", "--allow-ffi", import.meta.filename!, role, name] }).spawn()
  );
  const both = async (count: number) => {
    const counts = seen.watch();
    if (seen.read() >= count) return;
    for await (const now of counts) if (now >= count) return;
  };
  await both(2);
  const steps: ((now: Config) => Partial<Config>)[] = [
    () => ({ logLevel: "debug" }),
    (now) => ({ rateLimit: now.rateLimit * 2 }),
    (now) => ({ features: [...now.features, "dark mode"] }),
    () => ({ logLevel: "info", stop: true }),
  ];
  for (const [i, step] of steps.entries()) {
    await config.update((now) => ({ ...now, ...step(now) }));
    await both(2 + 2 * (i + 1));
  }
  await Promise.all(followers.map((follower) => follower.status));
  console.log(`owner     ${Deno.pid}: both followers saw all ${steps.length} changes`);
}
