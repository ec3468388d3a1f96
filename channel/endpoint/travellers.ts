// What may stand inside a value, besides data: the one table of it.
import { IpcFd } from "../../ffi/file/fd.ts";
import { setTravellers, type TravellerKind } from "../message/travellers.ts";
import { bytesDuplexKind } from "./bytes_duplex.ts";
import { bytesReceiverKind } from "./bytes_receiver.ts";
import { bytesSenderKind } from "./bytes_sender.ts";
import { duplexKind } from "./duplex.ts";
import { opaqueReceiverKind, receiverKind } from "./receiver.ts";
import { opaqueSenderKind, senderKind } from "./sender.ts";
import { sharedMemoryKind } from "./shared_memory.ts";

/** Of a layer below, which knows no messages. Shared, not moved: the sender keeps its own. */
const fdKind: TravellerKind<IpcFd> = {
  is: (object) => object instanceof IpcFd,
  pack(fd, attachments) {
    attachments.addOne(fd);
    return [];
  },
  unpack: (attachments, first) => attachments.claimOne(first),
};

setTravellers({
  "sender": senderKind,
  "receiver": receiverKind,
  "bytes-sender": bytesSenderKind,
  "bytes-receiver": bytesReceiverKind,
  "opaque-sender": opaqueSenderKind,
  "opaque-receiver": opaqueReceiverKind,
  "duplex": duplexKind,
  "bytes-duplex": bytesDuplexKind,
  "shared-memory": sharedMemoryKind,
  "fd": fdKind,
});
