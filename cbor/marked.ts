// Arrays that stand for something else, such as an endpoint, among plain values.

/** How such an array begins, behind its head: with the mark and a name. */
export interface Beginning {
  readonly name: string;
  /** Mark and name in CBOR. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A mark that such arrays begin with. */
export class Mark {
  readonly text: string;
  readonly #beginnings: readonly Beginning[];
  /** Where the mark stood last: many of a message are of one kind. */
  #likely: Beginning | undefined;

  /** @param beginnings Those that come often: they are compared, not read. */
  constructor(text: string, beginnings: readonly Beginning[] = []) {
    this.text = text;
    this.#beginnings = beginnings;
  }

  /** How the array whose items begin at a place begins, if that is one of those that come often. */
  beginningAt(source: Uint8Array, at: number, end: number): Beginning | undefined {
    const likely = this.#likely;
    if (likely !== undefined && isAt(likely, source, at, end)) return likely;
    for (const each of this.#beginnings) {
      if (each !== likely && isAt(each, source, at, end)) return this.#likely = each;
    }
    return undefined;
  }
}

function isAt({ bytes }: Beginning, source: Uint8Array, at: number, end: number): boolean {
  const { length } = bytes;
  if (at + length > end) return false;
  for (let i = 0; i < length; i++) if (source[at + i] !== bytes[i]) return false;
  return true;
}

/** Stands for what will be made of an array, once it is certain that the message is plain. */
export class Marked {
  readonly content: readonly unknown[];
  constructor(content: readonly unknown[]) {
    this.content = content;
  }
}

/** Puts what `revive` makes of each marked array in its place. */
export function revived(value: unknown, revive: (content: readonly unknown[]) => unknown): unknown {
  if (value instanceof Marked) return revive(value.content);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (typeof value[i] === "object") value[i] = revived(value[i], revive);
    }
  } else if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    const record = value as Record<string, unknown>;
    for (const key in record) {
      if (typeof record[key] === "object") record[key] = revived(record[key], revive);
    }
  }
  return value;
}
