// Values that JSON lacks, as the command line writes and reads them.
import { assertEquals, assertInstanceOf, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { jsonLine, jsonOf, valueOfJson } from "../../../cli/format/json_value.ts";
import { IpcError } from "../../../base/error.ts";
import { decodeCbor, encodeCbor } from "../../../cbor/mod.ts";
import { test } from "../../support/test.ts";

/** An object with that very key. */
const PROTO: unknown = JSON.parse('{"__proto__":1}');

test("jsonLine() leaves what JSON has as it is", () => {
  for (const value of [null, true, 1.5, "a\n\u2028", [], {}, { a: [1, { b: null }] }, { $a: 1, b: 2 }, PROTO]) {
    assertEquals(jsonLine(value), JSON.stringify(value));
    assertEquals(valueOfJson(jsonLine(value)), value);
  }
});

test("jsonLine() writes what JSON lacks as an object with one key, and valueOfJson() reads it back", () => {
  const cases: [unknown, string][] = [
    [12n, '{"$bigint":"12"}'],
    [-(2n ** 70n), '{"$bigint":"-1180591620717411303424"}'],
    [NaN, '{"$number":"NaN"}'],
    [-Infinity, '{"$number":"-Infinity"}'],
    [-0, '{"$number":"-0"}'],
    [undefined, '{"$undefined":true}'],
    [new Uint8Array([1, 2]), '{"$bytes":"AQI="}'],
    [new Float32Array([1, NaN]), '{"$array":["Float32Array",[1,{"$number":"NaN"}]]}'],
    [new BigInt64Array([-1n]), '{"$array":["BigInt64Array",[{"$bigint":"-1"}]]}'],
    [new Uint8Array([1, 2]).buffer, '{"$buffer":"AQI="}'],
    [new DataView(new Uint8Array([1, 2]).buffer), '{"$view":"AQI="}'],
    [new Date(0), '{"$date":"1970-01-01T00:00:00.000Z"}'],
    [new Date(NaN), '{"$date":null}'],
    [new Map<unknown, unknown>([[1, new Map()]]), '{"$map":[[1,{"$map":[]}]]}'],
    [new Set(["a"]), '{"$set":["a"]}'],
    [/a+/i, '{"$regexp":["a+","i"]}'],
    [{ $date: 1 }, '{"$object":{"$date":1}}'],
    [{ $object: { $object: 1 } }, '{"$object":{"$object":{"$object":{"$object":1}}}}'],
    [[undefined, 1n], '[{"$undefined":true},{"$bigint":"1"}]'],
  ];
  for (const [value, text] of cases) {
    assertEquals(jsonLine(value), text);
    assertEquals(valueOfJson(text), value);
    assertEquals(jsonLine(valueOfJson(text)), text);
    assertEquals(jsonLine(decodeCbor(encodeCbor(value).slice())), text, "also after a trip as CBOR");
  }
});

test("jsonLine() writes an error with its cause, without its stack", () => {
  const text = jsonLine(new TypeError("wrong", { cause: new RangeError("deeper") }));
  assertEquals(text, '{"$error":["TypeError","wrong",{"$error":["RangeError","deeper"]}]}');
  const error = valueOfJson(text);
  assertInstanceOf(error, TypeError);
  assertInstanceOf(error.cause, RangeError);
});

test("jsonLine() writes an object once, and points to it after that, also from inside itself", () => {
  const inner = { a: 1 };
  const value: Record<string, unknown> = { "x/y~": [inner], again: inner, map: new Map([["k", [inner]]]) };
  value["self"] = value;
  value["late"] = (value["map"] as Map<string, unknown>).get("k");
  const text = jsonLine(value);
  assertStringIncludes(text, '"again":{"$ref":"/x~1y~0/0"}');
  assertStringIncludes(text, '"self":{"$ref":""}');
  const back = valueOfJson(text) as typeof value;
  assertStrictEquals(back["self"], back);
  assertStrictEquals(back["again"], (back["x/y~"] as unknown[])[0]);
  assertStrictEquals(back["late"], (back["map"] as Map<string, unknown>).get("k"));
});

test("jsonLine() of a value that holds itself a thousand times over stays short", () => {
  let value: unknown = [];
  for (let i = 0; i < 30; i++) value = [value, value, value]; // 3^30 if written out
  assertEquals(jsonLine(value).length < 20_000, true);
});

test("jsonOf() names what no text can stand for", () => {
  class Endpoint {}
  assertEquals(jsonOf([new Endpoint(), () => 1]), [{ $opaque: "Endpoint" }, { $opaque: "function" }]);
});

test("Arrays with holes or properties, boxed values and exceptions come back from their JSON", () => {
  const sparse: unknown[] = [1, , "three"];
  sparse.length = 0xffff_ffff;
  Object.assign(sparse, { name: 2 });
  const text = jsonLine([sparse, Object(1n), new String("x"), new DOMException("m", "AbortError")]);
  assertStringIncludes(text, '{"$sparse":[4294967295,{"0":1,"2":"three","name":2}]}');
  const [array, big, string, exception] = valueOfJson(text) as [unknown[], bigint, string, DOMException];
  assertEquals([array.length, Object.entries(array)], [0xffff_ffff, [["0", 1], ["2", "three"], ["name", 2]]]);
  assertEquals([typeof big, big.valueOf(), typeof string, string.valueOf()], ["object", 1n, "object", "x"]);
  assertEquals([exception.name, exception.message], ["AbortError", "m"]);
});

test("A value that is nested too deeply for JSON is an error, not a crash", () => {
  const nest = (levels: number) => {
    let value: unknown = 1;
    for (let i = 0; i < levels; i++) value = [value];
    return value;
  };
  assertEquals(jsonLine(valueOfJson(jsonLine(nest(400)))), jsonLine(nest(400)));
  const value = nest(200_000);
  assertEquals(assertThrows(() => jsonLine(value), IpcError).code, "Serialization");
  const text = "[".repeat(200_000) + "]".repeat(200_000);
  assertEquals(assertThrows(() => valueOfJson(text), IpcError).code, "Serialization");
});

test("valueOfJson() refuses what is not JSON, or not by the rule, and says so", () => {
  const cases: [string, string][] = [
    ["{", "it is not JSON"],
    ["", "it is not JSON"],
    ['{"$dat":1}', 'Cannot read {"$dat":1}: an object whose only key begins with "$"'],
    ['{"$bigint":"1.5"}', "rightly filled"],
    ['{"$bytes":"?"}', "rightly filled"],
    ['{"$array":["Float32Array",["1"]]}', "rightly filled"],
    ['{"$array":["constructor",[]]}', "rightly filled"],
    ['{"$map":[[1]]}', "rightly filled"],
    ['{"$regexp":["(",""]}', "rightly filled"],
    ['{"$ref":"/nowhere"}', "rightly filled"],
    ['{"$error":["Nonsense","m"]}', "rightly filled"],
    ['{"$opaque":"IpcSender"}', "Cannot read"],
    ['{"$toString":1}', "Cannot read"],
  ];
  for (const [text, complaint] of cases) {
    const error = assertThrows(() => valueOfJson(text), IpcError);
    assertEquals(error.code, "Serialization");
    assertStringIncludes(error.message, complaint);
  }
});
