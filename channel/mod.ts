/**
 * Channels between processes: any number of senders, one receiver, values or bytes, by shared memory.
 *
 * ```ts
 * import { channel } from "@isthmus/ipc/channel";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<string>();
 * await sender.send("hello");
 * assertEquals(await receiver.recv(), "hello");
 * sender.close(), receiver.close();
 * ```
 *
 * A `Worker` of the same process is a peer like another process. `postMessage` cannot carry endpoints, but the name of
 * a one-shot server: the Worker connects to it by `IpcSender.connect(name)`, and from there on endpoints go inside
 * messages. When a Worker's thread ends its descriptors are closed, and its peers see that it is gone. `terminate()` ends
 * the thread once its code returns to the event loop: Deno ends no Worker that is in a loop, or blocks in a call such as
 * `recvSync()`, so give those a time-out.
 *
 * @module
 */
import "./endpoint/travellers.ts"; // the table of what may stand inside a value

export type { BorrowedPublication } from "./broadcast/borrowed.ts";
export { IpcBytesSubscriber } from "./broadcast/bytes_subscriber.ts";
export { IpcBytesPublisher, IpcPublisher } from "./broadcast/publisher.ts";
export { IpcSubscriber } from "./broadcast/subscriber.ts";
export type { SubscriberOptions } from "./broadcast/subscriber_options.ts";
export type { PublisherOptions } from "./broadcast/topic_file.ts";
export { IpcBytesReceiver } from "./endpoint/bytes_receiver.ts";
export { IpcBytesSender } from "./endpoint/bytes_sender.ts";
export type { Borrowed } from "./message/borrowed.ts";
export type { BorrowedBatch } from "./message/borrowed_batch.ts";
export { bytesChannel, bytesDuplex, channel, type ChannelOptions, duplex } from "./endpoint/channel.ts";
export type { ReceiverBase, SenderBase } from "./endpoint/either_kind.ts";
export { IpcBytesDuplex } from "./endpoint/bytes_duplex.ts";
export { IpcBytesServer } from "./server/bytes_server.ts";
export { IpcDuplex, type RunOptions } from "./endpoint/duplex.ts";
export { EncodedMessage } from "./message/encoded_message.ts";
export type { LoanBatch } from "./endpoint/loan_batch.ts";
export type { Loan, LoanOutcome, LoanReceipt } from "./endpoint/reservation.ts";
export { IpcOneShotServer, type ServerOptions } from "./server/one_shot_server.ts";
export { IpcReceiver, OpaqueIpcReceiver } from "./endpoint/receiver.ts";
export type { NamedReceiverOptions } from "./named/consumer.ts";
export type { NamedChannelOptions } from "./named/file.ts";
export type { Trust } from "../ffi/file/trust.ts";
export type { TryRecvResult } from "./endpoint/try_recv_result.ts";
export { IpcReceiverSet, type SetReceiver } from "./endpoint/receiver_set.ts";
export { type IpcRoute, IpcRouter, type RouteOptions, type RouterOptions } from "./endpoint/router.ts";
export type { SelectEvent } from "./endpoint/select_event.ts";
export type { Call } from "./call/call.ts";
export { expose, type ExposeOptions } from "./call/expose.ts";
export { type Remote, remote, type RemoteOptions, type RemoteResult } from "./call/remote.ts";
export { IpcBytesChild } from "./server/bytes_child.ts";
export { IpcChild } from "./server/child.ts";
export { parent } from "./server/parent.ts";
export { type BytesSpawnOptions, spawn, type SpawnOptions } from "./server/spawn.ts";
export { type ClientOf, IpcServer, type IpcServerOptions } from "./server/server.ts";
export { IpcSharedMemory } from "./endpoint/shared_memory.ts";
export { IpcSender, OpaqueIpcSender } from "./endpoint/sender.ts";
export { IpcError, type IpcErrorCode, type IpcErrorOptions } from "../base/error.ts";
export { IpcFd } from "../ffi/file/fd.ts";
export type { IterationOptions } from "../base/iteration.ts";
export type { PeerCredentials } from "../ffi/socket/socket_types.ts";
export type { SyncWaitOptions, WaitOptions } from "../base/wait.ts";
