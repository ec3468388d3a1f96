// iceoryx2, at the version of bench/peers/iceoryx2/Cargo.toml.
import { cargoBuild } from "../harness/cargo.ts";
import type { Side } from "../harness/workload.ts";

const FOLDER = new URL("../peers/iceoryx2", import.meta.url).pathname;
const TARGET = new URL("../peers/target", import.meta.url).pathname;

/** The program. */
export const ICEORYX2 = `${TARGET}/release/iceoryx2-peer`;

let built: Promise<string | undefined> | undefined;

/** Builds it; says why it cannot be built. */
export const buildIceoryx2 = (): Promise<string | undefined> => built ??= cargoBuild(FOLDER, TARGET);

function side(id: string, title: string, kinds: readonly string[]): Side {
  return {
    id,
    title,
    takes: ({ kind, payload, senders }) => kinds.includes(kind) && payload === "bytes" && senders === 1,
    prepare: buildIceoryx2,
    command: (
      { kind, payload, size, senders, warmUp, measure },
    ) => [ICEORYX2, id, kind, payload, ...[size, senders, warmUp, measure].map(String), ""],
  };
}

/** Both loan, read in place, and poll without a pause. */
export const iceoryx2: readonly Side[] = [
  side("iceoryx2", "iceoryx2, loaned and read in place", ["one-way", "round-trip"]),
  side("iceoryx2-request", "iceoryx2, request-response", ["round-trip"]),
];
