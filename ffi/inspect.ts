// What the command line may know of the system besides the public API: what this machine offers, which files there are
// and who has them open, and the state of its output. Nothing else of `ffi/` is for it.
export { isFolder, isSameFile } from "./file/file_status.ts";
export { SHARED_FOLDER } from "./file/named_file.ts";
export { type OpenFiles, openFiles, processName } from "./file/open_files.ts";
export { descriptorLimit, type FileSystemSpace, fileSystemSpace } from "./file/resources.ts";
export { type StandardOutputState, standardOutputState, WRITTEN_AT_ONCE } from "./file/standard_output.ts";
export { mappingsAgree, sealsHold } from "./memory/trial.ts";
export {
  countDescriptors,
  PROCESS_FOLDER,
  requireSystem,
  showsProcesses,
  systemLibrary,
  systemName,
} from "./process/system.ts";
export { listOf, numberOf } from "./process/user.ts";
