// RFC 8949 itself: appendix A is read (and written, where there is such a value), appendix F is refused.
import { assert, assertEquals } from "@std/assert";
import { decodeCbor, encodeCbor } from "../../../cbor/mod.ts";
import { decode } from "../../../cbor/strict_reader.ts";
import { copyOf } from "../../../cbor/plain_reader.ts";
import { channel } from "../../../mod.ts";
import { Message } from "../../../channel/message/outgoing.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { openChannel } from "../../support/open_channel.ts";
import { assertSame } from "../../support/same.ts";
import { test } from "../../support/test.ts";

const bytesOf = (hex: string) => Uint8Array.fromHex(hex);

/** What is written for the value. */
type Written =
  /** The same bytes. */
  | "same"
  /** Other bytes: the example is another spelling of them. */
  | { readonly as: string };

const SAME = "same" as const;
/** Written as a double, as all numbers that are no integers. */
const double = (value: number): Written => {
  const view = new DataView(new ArrayBuffer(9));
  view.setUint8(0, 0xfb), view.setFloat64(1, value);
  return { as: new Uint8Array(view.buffer).toHex() };
};

/** Appendix A: diagnostic notation, bytes, value, what is written for it. */
const EXAMPLES: [diagnostic: string, hex: string, value: unknown, written: Written][] = [
  ["0", "00", 0, SAME],
  ["1", "01", 1, SAME],
  ["10", "0a", 10, SAME],
  ["23", "17", 23, SAME],
  ["24", "1818", 24, SAME],
  ["25", "1819", 25, SAME],
  ["100", "1864", 100, SAME],
  ["1000", "1903e8", 1000, SAME],
  ["1000000", "1a000f4240", 1_000_000, SAME],
  ["1000000000000", "1b000000e8d4a51000", 1_000_000_000_000, SAME],
  ["18446744073709551615", "1bffffffffffffffff", 18446744073709551615n, SAME],
  ["18446744073709551616", "c249010000000000000000", 18446744073709551616n, SAME],
  ["-18446744073709551616", "3bffffffffffffffff", -18446744073709551616n, SAME],
  ["-18446744073709551617", "c349010000000000000000", -18446744073709551617n, SAME],
  ["-1", "20", -1, SAME],
  ["-10", "29", -10, SAME],
  ["-100", "3863", -100, SAME],
  ["-1000", "3903e7", -1000, SAME],
  ["0.0", "f90000", 0, { as: "00" }],
  ["-0.0", "f98000", -0, double(-0)],
  ["1.0", "f93c00", 1, { as: "01" }],
  ["1.1", "fb3ff199999999999a", 1.1, SAME],
  ["1.5", "f93e00", 1.5, double(1.5)],
  ["65504.0", "f97bff", 65504, { as: "19ffe0" }],
  ["100000.0", "fa47c35000", 100_000, { as: "1a000186a0" }],
  ["3.4028234663852886e+38", "fa7f7fffff", 3.4028234663852886e+38, double(3.4028234663852886e+38)],
  ["1.0e+300", "fb7e37e43c8800759c", 1.0e+300, SAME],
  ["5.960464477539063e-8", "f90001", 5.960464477539063e-8, double(5.960464477539063e-8)],
  ["0.00006103515625", "f90400", 0.00006103515625, double(0.00006103515625)],
  ["-4.0", "f9c400", -4, { as: "23" }],
  ["-4.1", "fbc010666666666666", -4.1, SAME],
  ["Infinity", "f97c00", Infinity, double(Infinity)],
  ["NaN", "f97e00", NaN, double(NaN)],
  ["-Infinity", "f9fc00", -Infinity, double(-Infinity)],
  ["Infinity", "fa7f800000", Infinity, double(Infinity)],
  ["NaN", "fa7fc00000", NaN, double(NaN)],
  ["-Infinity", "faff800000", -Infinity, double(-Infinity)],
  ["Infinity", "fb7ff0000000000000", Infinity, SAME],
  ["NaN", "fb7ff8000000000000", NaN, SAME],
  ["-Infinity", "fbfff0000000000000", -Infinity, SAME],
  ["false", "f4", false, SAME],
  ["true", "f5", true, SAME],
  ["null", "f6", null, SAME],
  ["undefined", "f7", undefined, SAME],
  ["simple(16)", "f0", undefined, { as: "f7" }], // unassigned: nothing that JavaScript has
  ["simple(255)", "f8ff", undefined, { as: "f7" }],
  [
    '0("2013-03-21T20:04:00Z")',
    "c074323031332d30332d32315432303a30343a30305a",
    new Date("2013-03-21T20:04:00Z"),
    { as: "c11a514b67b0" },
  ],
  ["1(1363896240)", "c11a514b67b0", new Date(1363896240_000), SAME],
  ["1(1363896240.5)", "c1fb41d452d9ec200000", new Date(1363896240_500), SAME],
  ["23(h'01020304')", "d74401020304", Uint8Array.of(1, 2, 3, 4), { as: "4401020304" }],
  ["24(h'6449455446')", "d818456449455446", bytesOf("6449455446"), { as: "456449455446" }],
  [
    '32("http://www.example.com")',
    "d82076687474703a2f2f7777772e6578616d706c652e636f6d",
    "http://www.example.com",
    { as: "76687474703a2f2f7777772e6578616d706c652e636f6d" },
  ],
  ["h''", "40", new Uint8Array(0), SAME],
  ["h'01020304'", "4401020304", Uint8Array.of(1, 2, 3, 4), SAME],
  ['""', "60", "", SAME],
  ['"a"', "6161", "a", SAME],
  ['"IETF"', "6449455446", "IETF", SAME],
  ['"\\"\\\\"', "62225c", '"\\', SAME],
  ['"\\u00fc"', "62c3bc", "\u00fc", SAME],
  ['"\\u6c34"', "63e6b0b4", "\u6c34", SAME],
  ['"\\ud800\\udd51"', "64f0908591", "\ud800\udd51", SAME],
  ["[]", "80", [], SAME],
  ["[1, 2, 3]", "83010203", [1, 2, 3], SAME],
  ["[1, [2, 3], [4, 5]]", "8301820203820405", [1, [2, 3], [4, 5]], SAME],
  [
    "[1, 2, … 25]",
    "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
    Array.from({ length: 25 }, (_, i) => i + 1),
    SAME,
  ],
  ["{}", "a0", {}, SAME],
  ["{1: 2, 3: 4}", "a201020304", new Map([[1, 2], [3, 4]]), { as: "d90103a201020304" }],
  ['{"a": 1, "b": [2, 3]}', "a26161016162820203", { a: 1, b: [2, 3] }, SAME],
  ['["a", {"b": "c"}]', "826161a161626163", ["a", { b: "c" }], SAME],
  [
    '{"a": "A", … "e": "E"}',
    "a56161614161626142616361436164614461656145",
    { a: "A", b: "B", c: "C", d: "D", e: "E" },
    SAME,
  ],
  ["(_ h'0102', h'030405')", "5f42010243030405ff", Uint8Array.of(1, 2, 3, 4, 5), { as: "450102030405" }],
  ['(_ "strea", "ming")', "7f657374726561646d696e67ff", "streaming", { as: "6973747265616d696e67" }],
  ["[_ ]", "9fff", [], { as: "80" }],
  ["[_ 1, [2, 3], [_ 4, 5]]", "9f018202039f0405ffff", [1, [2, 3], [4, 5]], { as: "8301820203820405" }],
  ["[_ 1, [2, 3], [4, 5]]", "9f01820203820405ff", [1, [2, 3], [4, 5]], { as: "8301820203820405" }],
  ["[1, [2, 3], [_ 4, 5]]", "83018202039f0405ff", [1, [2, 3], [4, 5]], { as: "8301820203820405" }],
  ["[1, [_ 2, 3], [4, 5]]", "83019f0203ff820405", [1, [2, 3], [4, 5]], { as: "8301820203820405" }],
  [
    "[_ 1, 2, … 25]",
    "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
    Array.from({ length: 25 }, (_, i) => i + 1),
    { as: "98190102030405060708090a0b0c0d0e0f101112131415161718181819" },
  ],
  ['{_ "a": 1, "b": [_ 2, 3]}', "bf61610161629f0203ffff", { a: 1, b: [2, 3] }, { as: "a26161016162820203" }],
  ['["a", {_ "b": "c"}]', "826161bf61626163ff", ["a", { b: "c" }], { as: "826161a161626163" }],
  [
    '{_ "Fun": true, "Amt": -2}',
    "bf6346756ef563416d7421ff",
    { Fun: true, Amt: -2 },
    { as: "a26346756ef563416d7421" },
  ],
];

test("Every example of RFC 8949, appendix A, is read, and written where there is such a value", () => {
  const { sender, receiver, ring, close } = openChannel<unknown>();
  for (const [diagnostic, hex, value, written] of EXAMPLES) {
    try {
      assertSame(decodeCbor(bytesOf(hex)), value);
      assertSame(decode(bytesOf(hex), 0, hex.length / 2, copyOf, undefined), value);
      // In an array beside something that is not plain, and in a map.
      assertSame(decodeCbor(bytesOf(`83${hex}d9010280${hex}`)), [value, new Set(), structuredClone(value)]);
      assertSame(decodeCbor(bytesOf(`a16161${hex}`)), { a: value });
      assert(ring.trySend(Message.of(bytesOf(hex))));
      assertSame(receiver.recvSync({ timeout: 0 }), value);
      assertEquals(Uint8Array.from(encodeCbor(value)).toHex(), written === "same" ? hex : written.as);
      sender.sendSync(value);
      assertSame(receiver.recvSync({ timeout: 0 }), value);
    } catch (error) {
      throw new Error(`${diagnostic}: ${hex}`, { cause: error });
    }
  }
  close();
});

/** Appendix F, and what belongs to each of its kinds. */
const NOT_WELL_FORMED: Record<string, string> = {
  "end of input in a head":
    "18 19 1a 1b 1901 1a0102 1b01020304050607 38 58 78 98 9a01ff00 b8 d8 f8 f900 fa0000 fb000000",
  "definite-length strings with short data":
    "41 61 5affffffff00 5bffffffffffffffff010203 7affffffff00 7b7fffffffffffffff010203",
  "definite-length maps and arrays not closed with enough items": "81 818181818181818181 8200 a1 a20102 a100 a2000000",
  "tag number not followed by tag content": "c0",
  "indefinite-length strings not closed by a break": "5f4100 7f6100",
  "indefinite-length maps and arrays not closed by a break":
    "9f 9f0102 bf bf01020102 819f 9f8000 9f9f9f9f9fffffffff 9f819f819f9fffffff",
  "reserved additional information values": "1c 1d 1e 3c 3d 3e 5c 5d 5e 7c 7d 7e 9c 9d 9e bc bd be dc dd de fc fd fe",
  "reserved two-byte encodings of simple values": "f800 f801 f818 f81f",
  "indefinite-length string chunks not of the correct type":
    "5f00ff 5f21ff 5f6100ff 5f80ff 5fa0ff 5fc000ff 5fe0ff 7f4100ff",
  "indefinite-length string chunks not definite length": "5f5f4100ffff 7f7f6100ffff",
  "break in a definite-length array or map, or outside of an indefinite-length one":
    "ff 81ff 8200ff a1ff a1ff00 a100ff a20000ff 9f81ff 9f829f819f9fffffffff",
  "break in an indefinite-length map, with an odd number of items": "bf00ff bf000000ff",
  "major types 0, 1 and 6 with additional information 31": "1f 3f df",
  "nothing, and more than one item": " 0000 f6f6 a000 8000 614100 9fff00",
  "text that is not UTF-8": "61ff 62c328 63eda080 62c080 64f4908080 7f61c361bcff",
  "the same behind a tag": "c101ff c1 d9010281 d90102ff d901039f d90103bf00ff d81c81 d81cff d81b9f c25f4100 d8405f41",
};

test("Every example of RFC 8949, appendix F, is refused, and the next message arrives", () => {
  const { sender, receiver, ring, close } = openChannel<unknown>();
  for (const [kind, examples] of Object.entries(NOT_WELL_FORMED)) {
    for (const hex of examples.split(" ")) {
      // By itself, and where more is to come: in an array, a map, and behind what is not plain.
      const around = hex === "" ? [hex] : [hex, `81${hex}`, `a16161${hex}`, `82d9010280${hex}`];
      for (const each of around) {
        try {
          const error = assertIpcErrorSync("Serialization", () => decodeCbor(bytesOf(each)));
          assert(error.message.startsWith(`Cannot decode a message of ${each.length / 2} bytes: `), error.message);
          assert(ring.trySend(Message.of(bytesOf(each))));
          sender.sendSync("after it");
          assertIpcErrorSync("Serialization", () => receiver.recvSync({ timeout: 0 }));
          assertEquals(receiver.recvSync({ timeout: 0 }), "after it");
        } catch (error) {
          throw new Error(`${kind}: ${each}`, { cause: error });
        }
      }
    }
  }
  close();
});

test("What others write in longer forms, or in another order, is read", () => {
  const cases: [hex: string, value: unknown][] = [
    ["1800", 0],
    ["190000", 0],
    ["1a00000000", 0],
    ["1b0000000000000000", 0],
    ["3b0000000000000000", -1],
    ["1b0020000000000000", 2n ** 53n], // not safe: a big integer, as it cannot have been a number
    ["1b001fffffffffffff", Number.MAX_SAFE_INTEGER],
    ["3b001ffffffffffffe", Number.MIN_SAFE_INTEGER],
    ["3b001fffffffffffff", -(2n ** 53n)],
    ["59000401020304", Uint8Array.of(1, 2, 3, 4)],
    ["9b000000000000000101", [1]],
    ["bb00000000000000016161f6", { a: null }],
    ["7a0000000161", "a"],
    ["a2616101616102", { a: 2 }], // twice: the last one counts
    ["a1f61860", new Map([[null, 0x60]])],
    ["a2616101f602", new Map<unknown, unknown>([["a", 1], [null, 2]])],
    ["bf6161010102ff", new Map<unknown, unknown>([["a", 1], [1, 2]])],
    ["a18001", new Map([[[], 1]])],
    ["d9d9f781d9d9f701", [1]], // that it is CBOR
    ["d5f6", null],
    ["d64101", Uint8Array.of(1)],
    ["c240", 0n],
    ["c34100", -1n],
    ["c2420000", 0n],
    ["c25f41014100ff", 256n],
    ["c11903e8", new Date(1_000_000)],
    ["c13903e7", new Date(-1_000_000)],
    ["c1f93c00", new Date(1000)],
    ["c07818323031332d30332d32315432303a30343a30302e3132335a", new Date("2013-03-21T20:04:00.123Z")],
    ["c07819323031332d30332d32315432303a30343a30302b30323a3030", new Date("2013-03-21T18:04:00Z")],
    ["d822684141414141413d3d", "AAAAAA=="],
    ["e0", undefined],
    ["f820", undefined],
  ];
  for (const [hex, value] of cases) assertSame(decodeCbor(bytesOf(hex)), value);
});

test("A message leaves no trace in the decoder that the next one can see", () => {
  const [sender, receiver] = channel<unknown>();
  // A shared value belongs to its message; a reference in the next one finds nothing.
  assertEquals(decodeCbor(bytesOf("82d81c8101d81d00")), [[1], [1]]);
  assertIpcErrorSync("Serialization", () => decodeCbor(bytesOf("d81d00")));
  assertIpcErrorSync("Serialization", () => decodeCbor(bytesOf("82d81c8101ff")));
  assertIpcErrorSync("Serialization", () => decodeCbor(bytesOf("81d81d00")));
  sender.sendSync({ a: 1 });
  assertEquals(receiver.recvSync({ timeout: 0 }), { a: 1 });
  sender.close(), receiver.close();
});
