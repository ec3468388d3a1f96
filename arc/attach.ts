// Making a cell and finding one: from a name and settings to an attachment.
import type { Mapping } from "../ffi/memory/mapping.ts";
import { type Attachment, Cell } from "./cell.ts";
import type { Settings } from "./options.ts";
import { cellPath } from "./segment/cell_name.ts";
import { createSegment } from "./segment/create.ts";
import { openSegment, type SegmentFile } from "./segment/file.ts";
import { checkLayout, SegmentFormat } from "./segment/format.ts";
import { encodeValue } from "./value_codec.ts";

/** Makes a cell; `undefined` if a living one has the name. */
export function createCell<T>(name: string, value: T, settings: Settings<T>): Attachment | undefined {
  cellPath(name);
  const { layout, capacity, mode, trusted } = settings;
  // Before there is any memory: looking at the value runs code of the program.
  const bytes = layout === undefined ? encodeValue(value, capacity, name) : layout.encode(value);
  const format = new SegmentFormat(layout, capacity);
  const made = createSegment(name, format.size, mode, trusted, (mapping) => format.fill(mapping, bytes));
  return made === undefined ? undefined : attach(made.file, settings, made.mapping);
}

/** Attaches to a living cell; `undefined` if no cell has that name. */
export function loadCell<T>(name: string, settings: Settings<T>): Attachment | undefined {
  cellPath(name);
  const file = openSegment(name, `Cannot load the cell "${name}"`, settings.trusted);
  return file === undefined ? undefined : attach(file, settings);
}

function attach<T>(file: SegmentFile, { layout }: Settings<T>, mapping?: Mapping): Attachment {
  const attachment = Cell.attach(file, mapping);
  try {
    checkLayout(file.name, attachment.cell.mapping, attachment.cell.words, layout);
    return attachment;
  } catch (error) {
    attachment.close();
    throw error;
  }
}
