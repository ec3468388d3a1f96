// Short text, which messages have again and again: compared with the last ones instead of being made once more.

/** Text of up to so many bytes is looked for among the last ones. */
export const REMEMBERED = 24;
/** The last short texts, by a number made of their bytes; a power of two of them. */
const last: string[] = new Array(256).fill("");

const units = new Array<number>(REMEMBERED).fill(0);

/**
 * Text of up to {@linkcode REMEMBERED} bytes, which are there.
 *
 * @returns The text; `undefined` if it is not all ASCII.
 */
export function shortText(bytes: Uint8Array, from: number, length: number): string | undefined {
  if (length === 0) return "";
  const place = (length * 31 + bytes[from]! * 7 + bytes[from + (length >> 1)]! * 13 + bytes[from + length - 1]! * 3) &
    255;
  const known = last[place]!;
  if (known.length === length) {
    let i = 0;
    while (i < length && known.charCodeAt(i) === bytes[from + i]) i++;
    if (i === length) return known; // and so all of its characters are ASCII, or it would not be among the last
  }
  let all = 0;
  for (let i = 0; i < length; i++) all |= units[i] = bytes[from + i]!;
  if (all >= 0x80) return undefined;
  let made = "";
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    made += String.fromCharCode(
      units[i]!,
      units[i + 1]!,
      units[i + 2]!,
      units[i + 3]!,
      units[i + 4]!,
      units[i + 5]!,
      units[i + 6]!,
      units[i + 7]!,
    );
  }
  for (; i < length; i++) made += String.fromCharCode(units[i]!);
  return last[place] = made;
}
