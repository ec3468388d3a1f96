// CBOR by hand, as hexadecimal digits: for messages that no encoder would write.
import { encodeCbor } from "../../cbor/mod.ts";

export const of = (value: unknown) => Uint8Array.from(encodeCbor(value)).toHex();

/** A head: the major type, and its number. */
export function head(major: number, n: number | bigint): string {
  if (n < 24) return (major << 5 | Number(n)).toString(16).padStart(2, "0");
  const size = n < 0x100 ? 0 : n < 0x10000 ? 1 : n < 0x1_0000_0000 ? 2 : 3;
  return (major << 5 | 24 + size).toString(16).padStart(2, "0") + n.toString(16).padStart(2 << size, "0");
}
export const tag = (n: number | bigint, content: string) => head(6, n) + content;
export const array = (...items: string[]) => head(4, items.length) + items.join("");
export const map = (...items: string[]) => head(5, items.length / 2) + items.join("");
/** An array of one item so many times. */
export const times = (n: number, item: string) => head(4, n) + item.repeat(n);
export const bytesOfLength = (n: number) => head(2, n) + "00".repeat(n);
/** An object of a named class. */
export const object = (name: string, ...parts: string[]) => tag(27, array(of(name), ...parts));
export const shared = (content: string) => tag(28, content);
export const reference = (n: number) => tag(29, head(0, n));

/** Arrays of references to the array before: each level ten times as much, if somebody writes it all out. */
export function laughs(levels: number): string {
  const parts = [shared(array(of("ha"), of("ha")))];
  for (let i = 1; i < levels; i++) parts.push(shared(times(10, reference(i - 1))));
  return array(...parts);
}
