// Everything that users may import. In a file of its own, so that index.ts can export it twice:
// by name, and as the properties of a default.

export { type ErrorCode, ZmqError } from "./errors.ts";
export { type Event, type EventType, Observer } from "./observer.ts";
export type {
  PullOptions,
  PushOptions,
  ReplyOptions,
  RequestOptions,
  SocketOptions,
} from "./options.ts";
export type { BatchOptions, Message } from "./receive_queue.ts";
export type { MessageLike, Sendable } from "./send_queue.ts";
export { Socket, type SocketStats } from "./socket.ts";
export { Pull } from "./sockets/pull.ts";
export { Push } from "./sockets/push.ts";
export type { Readable } from "./sockets/readable.ts";
export { Reply } from "./sockets/reply.ts";
export { Request } from "./sockets/request.ts";
export type { Writable } from "./sockets/writable.ts";
export { version } from "./version.ts";
export type { WaitOptions } from "./wait.ts";
