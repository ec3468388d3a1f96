// What stands for endpoints, memory and descriptors in a message, written by a peer who does not mean well: beside real descriptors.
import { assert, assertEquals } from "@std/assert";
import { Message } from "../../channel/message/outgoing.ts";
import { cString, libc } from "../../ffi/libc/libc.ts";
import { MFD_CLOEXEC } from "../../ffi/libc/platform.ts";
import { channel, IpcError, IpcFd, type IpcReceiver, type IpcSender } from "../../mod.ts";
import { array, laughs, of } from "../support/cbor_hex.ts";
import { whereTo } from "../support/odd_values.ts";
import { patience } from "../support/patience.ts";
import { test } from "../support/test.ts";

const traveller = (...parts: string[]) => "d81b" + array(of("isthmus"), ...parts);

const KINDS = [
  ...["sender", "receiver", "bytes-sender", "bytes-receiver", "opaque-sender", "opaque-receiver", "duplex"],
  ...["shared-memory", "fd"],
];

/** What is no number of a descriptor that is there. */
const NUMBERS = [
  ...[
    -1,
    3,
    1.5,
    NaN,
    Infinity,
    2 ** 31,
    2 ** 53,
    2n ** 64n,
    -(2n ** 70n),
    "0",
    "",
    null,
    undefined,
    true,
    [],
    [0],
    {},
    new Map(),
  ],
  ...[Object(0), new Date(0), Uint8Array.of(0), { valueOf: 1, toString: 2 }, [[[[0]]]]],
].map(of);

const HOSTILE: [what: string, hex: string][] = [
  ["no kind", traveller()],
  ["a kind alone", traveller(of("fd"))],
  ...["unknown", "__proto__", "constructor", "toString", ""].map((
    kind,
  ): [string, string] => [`the kind "${kind}"`, traveller(of(kind), "00")]),
  ...[0, null, [], ["fd"], { toString: 1 }, new Map(), Object("fd")].map((kind): [string, string] => [
    `a kind that is ${Deno.inspect(kind)}`,
    traveller(of(kind), "00"),
  ]),
  ["a kind that is long when it is written out", traveller(laughs(7), "00")],
  ["a kind that is deep", traveller("81".repeat(5000) + "00", "00")],
  ...KINDS.flatMap((kind) =>
    NUMBERS.map((number): [string, string] => [`${kind} ${number}`, traveller(of(kind), number)])
  ),
  ...KINDS.map((
    kind,
  ): [string, string] => [`${kind} of a number that is long when it is written out`, traveller(of(kind), laughs(7))]),
  ...KINDS.map((
    kind,
  ): [string, string] => [`${kind} twice`, array(traveller(of(kind), "00"), traveller(of(kind), "00"))]),
  ...KINDS.map((kind): [string, string] => [`${kind} with a wrong descriptor`, traveller(of(kind), "00")]).filter((
    [what],
  ) => !what.startsWith("fd")),
  ...KINDS.map((
    kind,
  ): [string, string] => [`${kind} inside another`, traveller(of(kind), "00", traveller(of("fd"), "00"))]).filter((
    [what],
  ) => !what.startsWith("fd")),
  ["descriptors read ahead, of a negative count", traveller(of("receiver"), "00", of([0, 0, -1]))],
  ["descriptors read ahead, of a huge count", traveller(of("receiver"), "00", of([0, 0, 2 ** 53 - 1]))],
  ["in a message that goes on", array(traveller(of("fd"), "00"), "ff")],
  ["in a message that is cut off", "82" + traveller(of("fd"), "00")],
  ["beside what is refused", array(traveller(of("fd"), "00"), "d8c800")],
];

/** Sends bytes in place of what is encoded, with one descriptor beside them. */
function sendBeside(sender: IpcSender<unknown>, hex: string): void {
  const { setWritten } = Message.prototype;
  using fd = new IpcFd(libc().c.memfd_create(cString("beside"), MFD_CLOEXEC));
  Message.prototype.setWritten = function () {
    this.setBytes(Uint8Array.fromHex(hex));
  };
  try {
    sender.sendSync({ fd });
  } finally {
    Message.prototype.setWritten = setWritten;
  }
}

const WAYS: Record<string, (receiver: IpcReceiver<unknown>) => unknown> = {
  "recvSync()": (receiver) => receiver.recvSync({ timeout: 0 }),
  "recv()": (receiver) => receiver.recv({ timeout: patience(10_000) }),
  "borrowSync()": (receiver) => receiver.borrowSync({ timeout: 0 }),
  "recvMany()": (receiver) => receiver.recvMany(),
};

for (const [way, receive] of Object.entries(WAYS)) {
  test(`What stands for a descriptor and does not mean well is one error, at once, and leaves no descriptor: ${way}`, async () => {
    const [sender, receiver] = channel<unknown>();
    const wrong: string[] = [];
    for (const [what, hex] of HOSTILE) {
      for (const placed of [hex, array(hex), `a16161${hex}`, `d9010281${hex}`]) {
        sendBeside(sender, placed);
        const began = performance.now();
        let error: unknown, value: unknown;
        try {
          value = await receive(receiver);
        } catch (thrown) {
          error = thrown;
        }
        const took = performance.now() - began;
        if (!(error instanceof IpcError)) {
          wrong.push(`${what}, ${placed.slice(0, 100)}: ${error ?? Deno.inspect(value)}`);
          closeAll(value);
        } else if (!["Serialization", "Incompatible", "Corrupt"].includes(error.code)) {
          wrong.push(`${what}, ${placed.slice(0, 100)}: ${error.code}, ${error}`);
        }
        if (took > patience(1000)) wrong.push(`${what} takes ${took} ms`);
        sender.sendSync("after it");
        assertEquals(receiver.recvSync({ timeout: 0 }), "after it");
      }
    }
    assertEquals(wrong, []);
    sender.close(), receiver.close();
  });
}

function closeAll(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  if (Symbol.dispose in value) (value as Disposable)[Symbol.dispose]();
  for (const each of value instanceof Set ? value : Object.values(value)) closeAll(each);
}

test("A sound one in every place is given, and its descriptor is the one that was sent", () => {
  const [sender, receiver] = channel<unknown>();
  for (
    const placed of [
      traveller(of("fd"), "00"),
      array(traveller(of("fd"), "00")),
      `d9010281${traveller(of("fd"), "00")}`,
    ]
  ) {
    sendBeside(sender, placed);
    let got = receiver.recvSync({ timeout: 0 }) as unknown;
    if (got instanceof Set || Array.isArray(got)) [got] = got as Iterable<unknown>;
    assert(got instanceof IpcFd);
    assertEquals(whereTo(got.fd), "/memfd:beside (deleted)");
    got.close();
  }
  sender.close(), receiver.close();
});
