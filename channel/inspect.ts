// What the command line may know of channels besides the public API: finding named ones, looking into one without
// attaching to it, and removing what is left over. Nothing else of `channel/` is for other rooms.
export { checkPath, removeEmptyRingFile } from "./named/file.ts";
export {
  describe,
  isUnused,
  listHeldChannels,
  listNamedChannels,
  type NamedChannelInfo,
  namedChannelInfo,
} from "./named/list.ts";
export { type Backlog, RingPeek, type WaitingMessage } from "./named/peek.ts";
export { BLOCK, DEFAULT_CAPACITY, FORMAT_VERSION, MAX_CAPACITY } from "./ring/layout.ts";
export { isTopicUnused, listHeldTopics, listTopics, orphanTopics, topicInfo } from "./broadcast/topic_list.ts";
export { type KeptMessage, type TopicInfo, TopicPeek } from "./broadcast/topic_peek.ts";
export { removeTopic } from "./broadcast/topic_file.ts";
export { topicName, topicPath } from "./broadcast/topic_name.ts";
export { DEFAULT_CAPACITY as DEFAULT_TOPIC_CAPACITY, MAX_CAPACITY as MAX_TOPIC_CAPACITY } from "./broadcast/layout.ts";
