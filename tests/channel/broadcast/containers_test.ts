// Publishers and subscribers in containers: other process numbers, the same files.
import { assertEquals } from "@std/assert";
import { IpcPublisher, IpcSubscriber } from "../../../mod.ts";
import { soon } from "../../support/assert_ipc.ts";
import { folderTest } from "../../support/folder.ts";
import { mayContain } from "../../support/processes.ts";
import { ACTORS, publishNumbers, sleepAt } from "./actors.ts";

const CONTAINED = mayContain();
if (!CONTAINED) console.log("Ignored, as namespaces cannot be made here: topics and containers");

for (const step of ["turn-taken", "copied", "rung"]) {
  folderTest(`A publisher in a container that is killed at "${step}" holds nobody up`, async (folder, processes) => {
    if (!CONTAINED) return;
    const name = folder.channel;
    using other = IpcPublisher.open<[string, number]>(name);
    using subscriber = IpcSubscriber.open<[string, number]>(name);
    const first = subscriber.recv();
    const end = { step, occurrence: 1, signal: "SIGKILL" } as const;
    const child = await processes.startContained(
      ACTORS,
      publishNumbers,
      { name, from: "killed", count: 5, end },
      folder.path,
    );
    await soon(child.status, "the container");
    other.publish(["other", 0]);
    const seen = [await soon(first)];
    for (let next = subscriber.tryRecv(); next.state === "message"; next = subscriber.tryRecv()) seen.push(next.value);
    assertEquals(seen, [...(step === "rung" ? [["killed", 0]] : []), ["other", 0]] as typeof seen);
  });
}

folderTest("A subscriber in a container is rung, and leaves nothing when it is killed", async (folder, processes) => {
  if (!CONTAINED) return;
  const name = folder.channel;
  {
    using publisher = IpcPublisher.open<number>(name);
    const child = await processes.startContained(ACTORS, sleepAt, { name }, folder.path);
    assertEquals(await child.said(), "asleep");
    publisher.publish(1);
    assertEquals(await child.said(), "awake");
    const pid = child.innermost();
    await child.kill(); // the program around it: the kernel ends what is in the container
    while (isThere(pid)) await new Promise((resolve) => setTimeout(resolve, 1));
    publisher.publish(2);
  }
  assertEquals(folder.files(), []);
});

function isThere(pid: number): boolean {
  try {
    return Deno.statSync(`/proc/${pid}`).isDirectory;
  } catch {
    return false;
  }
}
