// Big integers of up to 64 bits, which are common; larger ones are written by cbor-x. Imports nothing.

const UINT = 0, NEGATIVE = 0x20, BYTES = 0x40, TAG = 0xc0;
const LARGEST_SAFE = BigInt(Number.MAX_SAFE_INTEGER), SMALLEST_SAFE = -LARGEST_SAFE;

/**
 * Writes one as an integer if it could be no number; else inside tag 2 or 3, which says that it is a big integer. There is
 * room for it.
 *
 * @returns The place behind it; `undefined` if it has more than 64 bits.
 */
export function writeBigInteger(
  value: bigint,
  out: Uint8Array<ArrayBuffer>,
  view: DataView<ArrayBuffer>,
  to: number,
): number | undefined {
  const magnitude = value < 0n ? -1n - value : value;
  if (BigInt.asUintN(64, magnitude) !== magnitude) return undefined;
  if (value > LARGEST_SAFE || value < SMALLEST_SAFE) {
    out[to] = value < 0n ? NEGATIVE | 27 : UINT | 27;
    view.setBigUint64(to + 1, magnitude);
    return to + 9;
  }
  const safe = Number(magnitude);
  let length = 0;
  for (let rest = safe; rest > 0; rest = Math.floor(rest / 256)) length++;
  out[to] = value < 0n ? TAG | 3 : TAG | 2;
  out[to + 1] = BYTES | length;
  for (let i = length - 1, rest = safe; i >= 0; i--, rest = Math.floor(rest / 256)) out[to + 2 + i] = rest % 256;
  return to + 2 + length;
}
