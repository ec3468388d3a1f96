// Plain values on the wire are plain RFC 8949: read and written by another library in another language.
import { assertEquals } from "@std/assert";
import { decodeCbor, encodeCbor } from "../../../cbor/mod.ts";

const READER = `
import sys, json, cbor2
def plain(v):
    if isinstance(v, bytes): return {"bytes": list(v)}
    if isinstance(v, dict): return {"map": [[plain(k), plain(x)] for k, x in v.items()]}
    if isinstance(v, (list, tuple)): return [plain(x) for x in v]
    if isinstance(v, bool) or v is None or isinstance(v, (str, float)): return v
    if isinstance(v, int): return {"int": str(v)}
    return {"other": type(v).__name__}
values = []
for line in sys.stdin:
    value = cbor2.loads(bytes.fromhex(line))
    values.append([plain(value), cbor2.dumps(value).hex()])
print(json.dumps(values))
`;

/** Why the test cannot run; `undefined` if it can. */
function obstacle(): string | undefined {
  for (const name of ["run", "ffi"] as const) {
    if (Deno.permissions.querySync({ name }).state !== "granted") return `it needs --allow-${name}`;
  }
  try {
    const { success } = new Deno.Command("python3", { args: ["-c", "import cbor2"], stderr: "null" }).outputSync();
    return success ? undefined : 'Python has no "cbor2"';
  } catch {
    return "there is no python3";
  }
}

const why = obstacle();
if (why !== undefined) console.log(`Ignored, as ${why}: plain values on the wire, read by Python`);

/** A value, and how Python shows it. */
const VALUES: [value: unknown, shown: unknown][] = [
  [0, { int: "0" }],
  [-1, { int: "-1" }],
  [2 ** 31, { int: "2147483648" }],
  [-(2 ** 40), { int: "-1099511627776" }], // as long as it is safe; beyond that a number is a float
  [2 ** 60, 2 ** 60],
  [5n, { int: "5" }],
  [2n ** 64n - 1n, { int: "18446744073709551615" }],
  [1.5, 1.5],
  [true, true],
  [null, null],
  ["", ""],
  ["Grüße, 世界 🌍", "Grüße, 世界 🌍"],
  [[1, "a", [false]], [{ int: "1" }, "a", [false]]],
  [{ a: 1, "b c": { d: [] } }, { map: [["a", { int: "1" }], ["b c", { map: [["d", []]] }]] }],
  [new Uint8Array([0, 1, 255]), { bytes: [0, 1, 255] }],
];

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

Deno.test({
  name: "Python's cbor2 reads plain values as they are, and what it writes is read here",
  ignore: why !== undefined,
  async fn() {
    const python = new Deno.Command("python3", { args: ["-c", READER], stdin: "piped", stdout: "piped" }).spawn();
    const writer = python.stdin.getWriter();
    await writer.write(new TextEncoder().encode(VALUES.map(([value]) => hex(encodeCbor(value))).join("\n") + "\n"));
    await writer.close();
    const { stdout } = await python.output();
    const read = JSON.parse(new TextDecoder().decode(stdout)) as [unknown, string][];
    VALUES.forEach(([value, shown], at) => {
      const [theirs, written] = read[at]!;
      assertEquals(theirs, shown, Deno.inspect(value));
      const bytes = Uint8Array.from(written.match(/../g)!, (byte) => parseInt(byte, 16));
      // What is a number there may be one or a big integer here.
      const expected = typeof value === "bigint" && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
      assertEquals(decodeCbor(bytes), expected);
    });
  },
});
