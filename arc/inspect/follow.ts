// Follows a cell of which nothing is known but its name: for the command line.
import { IpcError } from "../../base/error.ts";
import { type Trust, Trusted } from "../../ffi/file/trust.ts";
import { type Attachment, Cell } from "../cell.ts";
import type { PodLayout } from "../layout/layout.ts";
import { rawLayout, readLayout } from "./layout_text.ts";
import { describeCell } from "./registry.ts";
import { openCellFile } from "../segment/cell_file.ts";
import { openSegment } from "../segment/file.ts";
import { fingerprintOf } from "../segment/format.ts";
import { KIND, KIND_CBOR } from "../segment/header.ts";
import { decodeValue } from "../value_codec.ts";
import { Watch } from "../watch.ts";

/** A cell that is held and watched. */
export class FollowedCell implements Disposable {
  readonly #attachment: Attachment;
  readonly #layout: PodLayout<unknown> | undefined;
  /** Whether its values are bytes only because nothing more is known of them. */
  readonly raw: boolean;

  private constructor(attachment: Attachment, layout: PodLayout<unknown> | undefined, raw: boolean) {
    this.#attachment = attachment;
    this.#layout = layout;
    this.raw = raw;
  }

  /**
   * Holds a living cell. One whose holders are all dead is left as it is, for who wants to look at its last value.
   *
   * @param trust Whose cell is used, if another user has made it.
   * @throws {IpcError} `NotFound`; `Incompatible` or `Corrupt` as `IpcArc.load`.
   */
  static open(name: string, trust?: Trust): FollowedCell {
    const what = `Cannot watch the cell "${name}"`;
    const trusted = new Trusted(trust, 0o600, what);
    const found = openCellFile(name, what);
    if (found === undefined) throw new IpcError("NotFound", `${what}: there is no shared cell of that name`);
    const info = describeCell(name, found.fd.fd, found.status);
    found.fd.close();
    const file = info.stale ? undefined : openSegment(name, what, trusted);
    if (file === undefined) {
      throw new IpcError("NotFound", `${what}: its holders have ended, so it cannot change any more`);
    }
    const attachment = Cell.attach(file);
    const { words } = attachment.cell;
    if (words[KIND] === KIND_CBOR) return new FollowedCell(attachment, undefined, false);
    const { capacity } = attachment.cell.store;
    const known = readLayout(info.layout, fingerprintOf(words), capacity);
    return new FollowedCell(attachment, known?.layout ?? rawLayout(capacity), known === undefined);
  }

  /** How often the value was changed since the cell was made; modulo 2^31. */
  get changeCount(): number {
    return this.#attachment.cell.store.counter >>> 1;
  }

  /** The value as it is now. */
  read(): unknown {
    return decodeValue(this.#attachment.cell.store.copy(), this.#layout);
  }

  /** The values from now on, as `IpcArc.watch` gives them. */
  changes(signal: AbortSignal): AsyncIterable<unknown> {
    return new Watch<unknown>(this.#attachment, this.#layout, signal, () => {});
  }

  /** Gives the cell up. */
  close(): void {
    this.#attachment.close();
  }

  /** Same as {@linkcode FollowedCell.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
