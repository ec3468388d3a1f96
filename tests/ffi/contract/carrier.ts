// What a carrier of handles must do.
import { assert, assertEquals } from "@std/assert";
import type { CarriedMessage } from "../../../ffi/contract/carrier.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { descriptorsOf } from "../../support/leftovers.ts";
import { lookingTest, test } from "../../support/test.ts";
import { backendOf } from "./backends.ts";

const DATA = new Uint8Array([1, 2, 3]);

/** Registers the tests for one back end. */
export function conformance(backend: string): void {
  const { carrier, doorbells } = backendOf(backend);

  /** Receives what must be there. */
  function received(end: number, most: number, bytes = new Uint8Array(16)): CarriedMessage {
    const message = carrier.receive(end, bytes, most);
    if (typeof message === "number") throw new Error(`nothing came: ${message}`);
    return message;
  }

  test(`${backend}: handles arrive in their order, open for what they were open for`, () => {
    const [here, there] = carrier.pair();
    const [listen, ring] = doorbells.create();
    assertEquals(carrier.send(here.fd, DATA, [ring.fd, listen.fd]), 3);
    ring.close(), listen.close();
    const bytes = new Uint8Array(16);
    const { length, fds } = received(there.fd, 2, bytes);
    assertEquals([...bytes.subarray(0, length)], [1, 2, 3]);
    assertEquals(fds.length, 2);
    const listener = doorbells.listener(fds[1]!);
    assert(doorbells.ring(fds[0]!));
    assertEquals(listener.waitSync(0), "rung");
    listener.close();
    carrier.dispose([fds[0]!]);
    here.close(), there.close();
  });

  test(`${backend}: nothing there, a full carrier and a gone peer are told apart, without waiting`, () => {
    const [here, there] = carrier.pair();
    const nothing = carrier.receive(there.fd, new Uint8Array(16), 1) as number;
    assert(carrier.wouldWait(nothing) && !carrier.isPeerGone(nothing));
    let sent = 0;
    for (let n = 0; n < 1_000_000 && sent >= 0; n++) sent = carrier.send(here.fd, new Uint8Array(4096), []);
    assert(carrier.wouldWait(sent) && !carrier.isPeerGone(sent));
    there.close();
    const gone = carrier.send(here.fd, DATA, []);
    assert(carrier.isPeerGone(gone) && !carrier.wouldWait(gone));
    here.close();
  });

  test(`${backend}: at the end, what was sent arrives, and then nothing`, () => {
    const [here, there] = carrier.pair();
    carrier.send(here.fd, DATA, [here.fd]);
    here.close();
    const { length, fds } = received(there.fd, 1);
    assertEquals([length, fds.length], [3, 1]);
    carrier.dispose(fds);
    assertEquals(received(there.fd, 1).length, 0);
    there.close();
  });

  lookingTest(`${backend}: a look leaves the message and its handles where they are`, () => {
    const [here, there] = carrier.pair();
    carrier.send(here.fd, DATA, [here.fd]);
    const before = descriptorsOf("self").length;
    for (let n = 0; n < 2; n++) {
      const seen = new Uint8Array(2);
      assertEquals(carrier.peek(there.fd, seen), 2);
      assertEquals([...seen], [1, 2]);
    }
    assertEquals(descriptorsOf("self").length, before);
    carrier.dispose(received(there.fd, 1).fds);
    here.close(), there.close();
  });

  test(`${backend}: a message with as many handles as there can be arrives whole`, () => {
    const [here, there] = carrier.pair();
    const handles = new Array<number>(carrier.most).fill(here.fd);
    assertEquals(carrier.send(here.fd, DATA, handles), 3);
    const { fds } = received(there.fd, carrier.most);
    assertEquals(fds.length, carrier.most);
    carrier.dispose(fds);
    here.close(), there.close();
  });

  lookingTest(`${backend}: more handles than expected are an error, and none of them stays open`, () => {
    const [here, there] = carrier.pair();
    const before = descriptorsOf("self").length;
    for (const [sent, expected] of [[1, 0], [3, 2], [100, 1]] as const) {
      carrier.send(here.fd, DATA, new Array<number>(sent).fill(here.fd));
      assertIpcErrorSync("Corrupt", () => carrier.receive(there.fd, new Uint8Array(16), expected));
    }
    assertEquals(descriptorsOf("self").length, before);
    here.close(), there.close();
  });
}
