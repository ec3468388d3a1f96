// Messages that are made to harm who reads them, as hexadecimal digits.
import { array, bytesOfLength, head, laughs, map, object, of, reference, shared, tag } from "./cbor_hex.ts";

export const FUNCTION = tag(200, of("constructor"));

/** A table of packed values in one another: each level twice as much. */
function packed(number: number, levels: number): string {
  let content = of("x".repeat(40));
  for (let i = 0; i < levels; i++) content = tag(number, array(array(content), array(head(7, 0), head(7, 0))));
  return content;
}

/** What is refused, each for a reason of its own. */
export const REFUSED: Record<string, string> = {
  "bundled strings beyond the end": "d9dff9820c82cf19ffffd9dff98206000019ea600000",
  "bundled strings of no length": "d9dff98205ce19ffff19fff358",
  "a date, and zeros behind it": "c1" + "00".repeat(99_998) + "5b",
  "packed values, tag 51": array(...Array.from({ length: 8 }, () => packed(51, 26))),
  "packed values, tag 225": array(...Array.from({ length: 8 }, () => packed(225, 26))),
  "a function by name": FUNCTION,
  "a thenable with a function": map(of("then"), tag(200, of("push"))),
  "a record structure whose prototype is a function": tag(105, array("19e000", FUNCTION)),
  "a record structure": tag(105, array("19e000", array(of("a"), of("b")), head(0, 1), head(0, 2))),
  "a record definition": tag(0xdffe, array(array(of("a")), "19e000", head(0, 1))),
  "a record inline": tag(0xdfff, array(array(of("a")), "19e000", head(0, 1))),
  "a record by number": tag(0xe000, array(head(0, 1))),
  "shared structures": tag(0x53687264, array(array(of("a")), head(0, 1))),
  "a decimal fraction": tag(4, array(head(0, 1), head(0, 2))),
  "decimal fractions of shared ones": array(
    shared(tag(4, array(head(0, 1), head(0, 1)))),
    ...Array.from({ length: 20 }, (_, i) => shared(tag(4, array(reference(i), reference(i))))),
  ),
  "a typed array of no memory": tag(86, map(of("buffer"), head(0, 2 ** 30 - 1))),
  "a typed array of a length": tag(86, head(0, 2 ** 30 - 1)),
  "a regular expression of strings": object("RegExp", of("[\\p{RGI_Emoji}]"), of("v")),
  "a regular expression that is none": object("RegExp", of("("), of("")),
  "flags that are none": object("RegExp", of("a"), of("gg")),
  "a class that is no class": object("constructor", of(1)),
  "a class of the language": object("Function", of("return 1")),
  "a class by its prototype": object("__proto__", of({})),
  "an error with a cause that is cut off": "d81b83654572726f7261786100",
  "an error without details": object("Error", of("x")),
  "an array of a negative length": object("Array", of(-1), of({})),
  "an array of too great a length": object("Array", of(2 ** 32), of({})),
  "an array of an index beyond it": object("Array", of(1), map(head(0, 5), head(0, 5))),
  "an array of another length": object("Array", of(1), map(of("length"), head(0, 5))),
  "a buffer that may grow to 2^60": object("ArrayBuffer", "40", head(0, 2n ** 60n)),
  "a buffer that may grow to 1 GiB": object("ArrayBuffer", "40", head(0, 2 ** 30)),
  "many buffers that may grow": array(
    ...Array.from({ length: 400 }, () => object("ArrayBuffer", "40", head(0, 1 << 20))),
  ),
  "a view beyond its buffer": object("Uint8Array", object("ArrayBuffer", "41ff"), of(0), of(2)),
  "a view before its buffer": object("Uint8Array", object("ArrayBuffer", "41ff"), of(-1)),
  "a view of no integer": object("Uint8Array", object("ArrayBuffer", "41ff"), of(NaN), of("1")),
  "a view that is not aligned": object("Float64Array", object("ArrayBuffer", bytesOfLength(16)), of(1), of(1)),
  "a view of what is no buffer": object("Uint8Array", of([1, 2, 3]), of(0), of(2)),
  "a descriptor that is not there": object("isthmus", of("fd"), of(0)),
  "a reference to what comes later": array(reference(0), shared(of([]))),
  "a reference to itself as a date": shared(tag(1, reference(0))),
  "a reference to what is being made": shared(object("RegExp", reference(0), of(""))),
  "an array of 2^32 - 1": head(4, 2 ** 32 - 1),
  "an array of 2^60": head(4, 2n ** 60n),
  "a map of 2^60": head(5, 2n ** 60n),
  "a byte string of 2^60": head(2, 2n ** 60n) + "00".repeat(11),
  "a text of 2^60": head(3, 2n ** 60n) + "00".repeat(11),
  "a set of 2^32 - 1": tag(258, head(4, 2 ** 32 - 1)),
  "a map of any keys, of 2^32 - 1": tag(259, head(5, 2 ** 32 - 1)),
  "claims in one another": head(4, 60_000).repeat(20_000),
  "claims in one another, by maps": (head(5, 20_000) + "00").repeat(15_000),
  "claims in one another, in tags": tag(258, head(4, 60_000)).repeat(9_000),
  "100,000 arrays in one another": "81".repeat(100_000) + "00",
  "100,000 maps in one another": "a16161".repeat(100_000) + "00",
  "100,000 arrays without a length": "9f".repeat(100_000),
  "100,000 tags before nothing": "d9d9f7".repeat(100_000),
  "100,000 shared values in one another": "d81c81".repeat(100_000) + "00",
  "a regular expression with many names": object("RegExp", of("(?<a>x)|".repeat(1000) + "\\k<a>".repeat(1000)), of("")),
  "a regular expression with many properties": object("RegExp", of("\\p{L}".repeat(3000)), of("u")),
  "a long regular expression with the flag v": object("RegExp", of("[a".repeat(1) + "[b]".repeat(2000) + "]"), of("v")),
};

/** What is read, and has one meaning: as JSON has it. */
export const READ: Record<string, [hex: string, meaning: unknown]> = {
  "a property then": [map(of("then"), head(0, 1)), { then: 1 }],
  "a property __proto__": [map(of("__proto__"), map(of("polluted"), head(0, 1))), '{"__proto__":{"polluted":1}}'],
  "properties of all objects": [map(of("constructor"), head(0, 1), of("toString"), head(0, 2)), {
    constructor: 1,
    toString: 2,
  }],
  "the text of a mark": [array(of("isthmus"), of("fd"), head(0, 0)), ["isthmus", "fd", 0]],
  "a million references in 3 KB": [laughs(6), undefined],
  "a sparse array of 2^32 - 1": [array(object("Array", of(2 ** 32 - 1), map(head(0, 7), head(0, 1)))), undefined],
};
