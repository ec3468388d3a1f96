import { assert, assertEquals } from "@std/assert";
import { connectDuplex } from "../../../channel/endpoint/handshake.ts";
import { IpcDuplex } from "../../../channel/endpoint/duplex.ts";
import { receiverFrom } from "../../../channel/endpoint/receiver.ts";
import { senderFrom } from "../../../channel/endpoint/sender.ts";
import { MANY } from "../../../channel/endpoint/server_kind.ts";
import { ChildDoor, type OpenEnd } from "../../../channel/server/child_door.ts";
import { formatParentName, freshParentName, parseParentName } from "../../../channel/server/parent_name.ts";
import { assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { test } from "../../support/test.ts";

/** What parent() makes of a name. */
function connect(server: string, token: Uint8Array): IpcDuplex<number, number> {
  const [port, ring] = connectDuplex(server, undefined, MANY, token);
  return new IpcDuplex(senderFrom<number>(port), receiverFrom<number>(ring));
}

const openEnd: OpenEnd<IpcDuplex<number, number>> = (sending, receiving, peer) =>
  new IpcDuplex(senderFrom<number>(sending), receiverFrom<number>({ handle: receiving }), peer);

test("A client that greets as a child does, with another token, is dropped, and the child comes in", async () => {
  const name = freshParentName(undefined), door = new ChildDoor(name, openEnd);
  const arrived = door.arrived();
  const wrong = name.token.map((byte, i) => i === 15 ? byte ^ 1 : byte);
  using stranger = connect(name.server, wrong);
  await soon(stranger.recv().then(() => assert(false), () => {})); // shut out
  assertEquals(door.take(), undefined);
  using child = connect(name.server, name.token);
  await soon(arrived);
  using end = door.take()!;
  assertEquals(end.peer?.pid, Deno.pid);
  child.sendSync(1), end.sendSync(2);
  assertEquals([end.recvSync({ timeout: 0 }), child.recvSync({ timeout: 0 })], [1, 2]);
  door.close();
});

test("A greeting that has not been heard of yet is found when the child has ended", () => {
  const name = freshParentName(undefined), door = new ChildDoor(name, openEnd);
  const child = connect(name.server, name.token);
  child.sendSync(1);
  child.close();
  assertEquals(door.take(), undefined);
  door.lookOnceMore();
  using end = door.take()!;
  assertEquals(end.recvSync({ timeout: 0 }), 1);
  assertIpcErrorSync("Disconnected", () => end.recvSync({ timeout: 0 }));
  door.close();
});

test("What has arrived and was not taken is closed with the door", async () => {
  const name = freshParentName(undefined), door = new ChildDoor(name, openEnd);
  const arrived = door.arrived();
  using child = connect(name.server, name.token);
  await soon(arrived);
  door.close();
  assertIpcErrorSync("Disconnected", () => child.recvSync({ timeout: 0 }));
});

test("The name of a parent is what its text says, and odd texts are none", () => {
  for (const capacity of [undefined, 65_536]) {
    for (const bytes of [false, true]) {
      const name = freshParentName(capacity, bytes);
      assertEquals(parseParentName(formatParentName(name)), name);
    }
  }
  const token = "0".repeat(32);
  for (
    const odd of ["", "@a", "a:" + token, "@a:" + token.slice(1), `@a:${token}:0`, `@a:${token}:x`, `@a:${token}:1:2`]
  ) {
    assertEquals(parseParentName(odd), undefined, odd);
  }
});
