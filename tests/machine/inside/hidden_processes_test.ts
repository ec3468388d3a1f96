// Where /proc hides the processes of other users (`hidepid`, systemd's `ProtectProc`), threads of theirs still live.
import { assertEquals } from "@std/assert";
import { channel, IpcBytesReceiver, IpcBytesSender, type IpcReceiver, type IpcSender } from "../../../mod.ts";
import { ownThread, type ThreadIdentity } from "../../../ffi/process/liveness.ts";
import { soon } from "../../support/assert_ipc.ts";
import { Folder } from "../../support/folder.ts";
import { Child, mayContain } from "../../support/processes.ts";
import { processTest } from "../../support/test.ts";
import { Threads } from "../../support/threads.ts";

const MAIN = new URL("../../support/hidden_main.ts", import.meta.url).pathname;
const REPOSITORY = new URL("../../..", import.meta.url).pathname.replace(/\/$/, "");

/** Nobody. */
const USER = 65_534;

/** As root: /proc hides, Deno and the repository are where everybody may see them, and then as somebody else. */
const SETUP = `
set -e
mount -t proc -o hidepid=2 proc /proc
mkdir -m 755 "$1/repository" && mount --bind "$2" "$1/repository"
touch "$1/deno" && mount --bind "$3" "$1/deno"
folder=$1; main=$folder/repository\${4#"$2"}
shift 4
export DENO_DIR="$folder/cache" HOME="$folder" PATH=/usr/bin:/bin
exec setpriv --reuid=${USER} --regid=${USER} --clear-groups "$folder/deno" run --quiet --no-check -A "$main" "$@"
`;

function mayHide(): boolean {
  if (!mayContain(["--mount", "--propagation=private"])) return false;
  const script = "mount -t proc -o hidepid=2 proc /proc && setpriv --reuid=65534 --regid=65534 --clear-groups true";
  return new Deno.Command("unshare", {
    args: ["--mount", "--propagation=private", "sh", "-c", script],
    stderr: "null",
    stdout: "null",
  }).outputSync().success;
}

interface Job {
  path: string;
  identity: IpcSender<ThreadIdentity>;
  go: IpcReceiver<string>;
}

/** Claims room in a channel, says which thread it is, and commits when it is told to. */
export async function claimAndWait({ path, identity, go }: Job): Promise<void> {
  const sender = IpcBytesSender.open(path, { trust: "anyone" });
  const loan = sender.reserveSync(1);
  sender.sendSync(new Uint8Array([2]));
  identity.sendSync(ownThread());
  await go.recv();
  loan.bytes[0] = 1;
  loan.commit();
  identity.sendSync(ownThread());
  await go.recv();
  // Closed here: Deno keeps what a terminated Worker listens on.
  for (const end of [sender, go, identity]) end.close();
}

if (mayHide()) {
  processTest("A sender in a Worker of another user, whom /proc hides, is not declared dead", async () => {
    using folder = new Folder("/tmp");
    using channels = new Folder();
    for (const { path } of [folder, channels]) Deno.chmodSync(path, 0o777);
    IpcBytesReceiver.create(channels.channel, { mode: 0o666, trust: "anyone" }).close();
    const kept = IpcBytesReceiver.create(channels.channel, { mode: 0o666, trust: "anyone" });
    using _sender = IpcBytesSender.open(channels.channel, { trust: "anyone" });
    kept.close();
    await using threads = new Threads();
    const [identity, identities] = channel<ThreadIdentity>();
    const [go, mayGo] = channel<string>();
    await threads.start(import.meta.url, claimAndWait, { path: channels.channel, identity, go: mayGo });
    identity.close();
    const worker = await soon(identities.recv());
    const nobody: ThreadIdentity = { ...worker, tid: 0x3fff_fff0, start: 1 }; // more than Linux counts
    const args = [
      "--mount",
      "--propagation=private",
      "sh",
      "-c",
      SETUP,
      "sh",
      folder.path,
      REPOSITORY,
      Deno.execPath(),
    ];
    const child = new Child(
      new Deno.Command("unshare", {
        args: [
          ...args,
          MAIN,
          channels.channel,
          ...[worker, ownThread(), nobody].map((thread) => JSON.stringify(thread)),
        ],
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
      }).spawn(),
    );
    try {
      assertEquals(await soon(child.said()), { hidden: true, alive: [true, true, false], early: 0 });
      go.sendSync("commit");
      await soon(identities.recv());
      await child.tell();
      assertEquals(await soon(child.said()), [1, 2]);
      await child.status;
      go.sendSync("end");
      assertEquals(await soon(identities.recv().catch((error) => error.code)), "Disconnected");
    } finally {
      await child.end();
      go.close(), identities.close();
    }
  });
} else console.log("Ignored, as it needs root and mount namespaces: threads that /proc hides");
