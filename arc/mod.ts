/**
 * Shared cells.
 *
 * @module
 */
export { type ArcOptions, IpcArc } from "./arc.ts";
export { AtomicCell } from "./atomic.ts";
export { IpcArcGuard } from "./guard.ts";
export { IpcError, type IpcErrorCode, type IpcErrorOptions } from "../ffi/error.ts";
export type { SyncWaitOptions, WaitOptions } from "../ffi/wait.ts";
export type { Layout, LayoutValue } from "./layout.ts";
export { array, bytes } from "./layout_array.ts";
export {
  bool,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  type NumericArray,
  type ScalarLayout,
  u16,
  u32,
  u64,
  u8,
} from "./layout_scalar.ts";
export { struct, type StructValue } from "./layout_struct.ts";
