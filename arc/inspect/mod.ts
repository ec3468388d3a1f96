// What the command line may know of cells besides the public API: listing them, looking into one without attaching to it,
// following one whose layout is not known beforehand, and removing what is left over. Nothing else of `arc/` is for it.
export { FollowedCell } from "./follow.ts";
export { type CellHeader, CellPeek, DECODED_LIMIT } from "./peek.ts";
export { type CellInfo, cellInfo, type Collected, collectStaleCells, listCells, removeCell } from "./registry.ts";
export type { ReadLayout } from "./layout_text.ts";
export { checkCellName } from "../segment/cell_name.ts";
export { idleLocks, listLocks, type LockState, lockState, removeUnusedLock } from "../locks/query.ts";
