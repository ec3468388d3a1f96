// Both sides of a channel without a ring do something at the same moment.
import { assert, assertEquals } from "@std/assert";
import { channel, type IpcReceiver, type IpcSender } from "../../../mod.ts";
import { setStepHook } from "../../../base/step_hook.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { test } from "../../support/test.ts";

/** A channel whose sender has travelled, and not been used; its maker's own sender as well. */
function ringless<T>(): { far: IpcSender<T>; near: IpcSender<T>; receiver: IpcReceiver<T> } {
  const [to, from] = channel<IpcSender<T>>(), [near, receiver] = channel<T>();
  to.sendSync(near);
  const far = from.recvSync();
  to.close(), from.close();
  return { far, near, receiver };
}

/** Does something once, at a step of the other side. */
function at(name: string, act: () => void): void {
  setStepHook((step) => {
    if (step !== name) return;
    setStepHook(undefined);
    act();
  });
}

for (const posted of [[], ["posted"]]) {
  for (const received of [false, true]) {
    if (received && posted.length === 0) continue;
    const before = posted.length === 0 ? "nothing" : `a post that was ${received ? "" : "not "}received`;
    test(`The receiver makes a ring while the sender is about to hand over its own, after ${before}`, () => {
      const { far, near, receiver } = ringless<string>();
      for (const word of posted) far.sendSync(word);
      if (received) assertEquals(receiver.recvSync(), "posted");
      at("growing", () => assert(receiver.capacity > 0));
      far.sendSync("x".repeat(2000));
      near.sendSync("near");
      far.sendSync("last");
      const left = received ? [] : posted;
      assertEquals(receiver.recvMany().map((word) => word.slice(0, 6)), [...left, "xxxxxx", "near", "last"]);
      near.sendSync("again");
      assertEquals(receiver.recvSync(), "again");
      for (const end of [far, near, receiver]) end.close();
    });

    test(`The receiver goes while the sender is about to hand over its own ring, after ${before}`, () => {
      const { far, near, receiver } = ringless<string>();
      for (const word of posted) far.sendSync(word);
      if (received) assertEquals(receiver.recvSync(), "posted");
      at("growing", () => receiver.close());
      for (let i = 0; i < 2; i++) assertIpcErrorSync("Disconnected", () => far.sendSync("x".repeat(2000)));
      far.clone().close();
      for (const end of [far, near]) end.close();
    });
  }
}

test("The sender makes a ring, and the receiver one before it has seen it", () => {
  const { far, near, receiver } = ringless<number>();
  for (let n = 0; n < 3; n++) far.sendSync(n);
  near.sendSync(3);
  assertEquals(receiver.recvMany(), [0, 1, 2, 3]);
  for (const end of [far, near, receiver]) end.close();
});
