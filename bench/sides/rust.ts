// ipc-channel and ipmpsc, at the versions of bench/peers/rust/Cargo.toml.
import { cargoBuild } from "../harness/cargo.ts";
import type { Side, Workload } from "../harness/workload.ts";

const FOLDER = new URL("../peers/rust", import.meta.url).pathname;
const TARGET = new URL("../peers/target", import.meta.url).pathname;

let built: Promise<string | undefined> | undefined;

function side(id: string, title: string, takes: (workload: Workload) => boolean): Side {
  return {
    id,
    title,
    takes,
    prepare: () => built ??= cargoBuild(FOLDER, TARGET),
    command({ kind, payload, size, senders, warmUp, measure, name }) {
      const numbers = [size, senders, warmUp, measure].map(String);
      return [`${TARGET}/release/peers`, id, kind, payload, ...numbers, name ?? ""];
    },
  };
}

const OPERATIONS =
  /^(create and close a channel|create a channel, use it .*|send and receive the sender .*|send and receive an empty message|select from .*|send and receive a message with \d+ senders)$/;

/** All of them. */
export const rust: readonly Side[] = [
  side("ipc-channel-bytes", "ipc-channel, bytes", ({ kind, payload }) => kind !== "operation" && payload !== "object"),
  side(
    "ipc-channel-typed",
    "ipc-channel, typed",
    ({ kind, payload }) => kind === "one-way" || (kind === "round-trip" && payload === "object"),
  ),
  side("ipc-channel-operations", "ipc-channel", ({ kind, name }) => kind === "operation" && OPERATIONS.test(name!)),
  side("ipmpsc-owned", "ipmpsc, owned receive", ({ kind }) => kind !== "operation"),
  side(
    "ipmpsc-borrowed",
    "ipmpsc, borrowed receive",
    ({ kind, payload }) => kind !== "operation" && payload !== "object",
  ),
];
