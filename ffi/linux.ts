// Linux as the first back end: which function of which room does what the contract asks for.
//
// The rooms above import these functions and classes themselves: a call through an object would cost what a message of
// 64 bytes takes. Another back end has functions of the same names in files of its own.
import type { System } from "./contract/system.ts";
import { BellListener, createDoorbell, hasListener, privateEnd, ringAnyBell } from "./event/doorbell.ts";
import { createNamedBell, ringByName } from "./event/named_bell.ts";
import {
  countPlacesTaken,
  isPlaceTaken,
  leavePlace,
  ownDescription,
  tryLockFile,
  tryTakePlace,
} from "./file/file_lock.ts";
import { closeAllForeign } from "./file/foreign_fd.ts";
import { lockHolders } from "./file/lock_holders.ts";
import { createUnnamed, publish } from "./file/named_file.ts";
import { unlinkFile } from "./file/unlink.ts";
import { Futex } from "./memory/futex.ts";
import { Mapping } from "./memory/mapping.ts";
import { MemoryFileReader, writeMemoryFile } from "./memory/memory_file.ts";
import { mutexMark, mutexOwner, RobustMutex } from "./memory/robust_mutex.ts";
import { checkSealed, sealedMemory } from "./memory/sealed_memory.ts";
import { memoryOf, punchHole } from "./memory/storage.ts";
import { hasEnded, isAlive, ownPid, ownThread } from "./process/liveness.ts";
import { guardFd, unguardFd } from "./process/thread_end.ts";
import { ownUser } from "./process/user.ts";
import { socketPair } from "./socket/new_socket.ts";
import { freshAbstractName } from "./socket/socket_address.ts";
import {
  isPeerGone,
  MAX_FDS_PER_MESSAGE,
  peekBytes,
  receiveMessage,
  sendMessage,
  wouldWait,
} from "./socket/socket_message.ts";
import { UnixSocket } from "./socket/unix_socket.ts";

/** Linux with glibc. */
export const linux: System = {
  // Memory files with seals.
  memory: {
    create: sealedMemory,
    accept: checkSealed,
    map: Mapping.shared,
    mapMirrored: Mapping.mirrored,
    giveBack: punchHole,
    used: memoryOf,
    createFinal: writeMemoryFile,
    readFinal: (memory, length, admit) => new MemoryFileReader(memory, length, admit),
  },
  // Pipes and FIFOs.
  doorbells: {
    create: createDoorbell,
    accept: privateEnd,
    ring: ringAnyBell,
    hasListener: (end) => hasListener(end.fd),
    listener: (end) => new BellListener(end),
    createNamed: createNamedBell,
    ringByName,
  },
  // SCM_RIGHTS over stream sockets.
  carrier: {
    most: MAX_FDS_PER_MESSAGE,
    pair: () => socketPair("stream"),
    send: sendMessage,
    receive: (end, bytes, most) => receiveMessage(end, bytes, most),
    peek: peekBytes,
    wouldWait,
    isPeerGone,
    dispose: closeAllForeign,
  },
  // Sockets with paths and abstract names; files that are linked when they are whole.
  names: {
    fresh: freshAbstractName,
    listen: (name) => UnixSocket.listen(name),
    connect: (name) => UnixSocket.connect(name),
    createUnnamed: (place, what) => createUnnamed(place, what),
    publish,
    remove: unlinkFile,
  },
  // Thread numbers with their start times and namespaces, by /proc.
  identities: { own: ownThread, ownProcess: ownPid, ownUser, isAlive, hasEnded },
  // flock, and locks on bytes that belong to open file descriptions.
  presence: {
    holder: ownDescription,
    tryHold: tryLockFile,
    tryTakePlace,
    leavePlace,
    isPlaceTaken,
    countPlacesTaken,
    holders: lockHolders,
  },
  // pthread's robust, process-shared mutex; futexes.
  mutexes: {
    mark: mutexMark,
    at: (memory, offset) => new RobustMutex(memory, offset),
    ownerOf: mutexOwner,
    word: (memory, offset) => new Futex(memory, offset),
  },
  // What glibc calls when a thread ends.
  threadEnds: { guard: guardFd, unguard: unguardFd },
};
