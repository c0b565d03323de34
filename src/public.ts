// Everything that users may import. In a file of its own, so that index.ts can export it twice:
// by name, and as the properties of a default.

export {
  Authenticator,
  type AuthenticatorOptions,
  type AuthenticatorStats,
  type Denial,
} from "./authenticator.ts";
export {
  type CurveCertificate,
  type CurveKeyPair,
  curveKeyPair,
  curvePublicKey,
  readCurveCertificate,
  writeCurveCertificate,
} from "./curve.ts";
export { type ErrorCode, ZmqError } from "./errors.ts";
export type {
  Event,
  EventOfType,
  EventReason,
  EventType,
  ProtocolErrorCode,
} from "./events.ts";
export { Observer } from "./observer.ts";
export type { SecurityOptions, SocketOptions } from "./option_groups.ts";
export type {
  DealerOptions,
  PairOptions,
  PublisherOptions,
  PullOptions,
  PushOptions,
  ReplyOptions,
  RequestOptions,
  RouterOptions,
  StreamOptions,
  SubscriberOptions,
  XPublisherOptions,
  XSubscriberOptions,
} from "./options.ts";
export { Proxy, type ProxyCounters, type ProxyStatistics } from "./proxy.ts";
export type { BatchOptions, Message } from "./receive_queue.ts";
export type { MessageLike, Sendable } from "./send_queue.ts";
export { type ConnectOptions, type PeerStats, Socket, type SocketStats } from "./socket.ts";
export {
  type Backend,
  Context,
  type ContextOptions,
  type ContextStats,
  context,
  type ThreadStats,
} from "./socket_context.ts";
export type { PeerInfo } from "./sockets/addressed.ts";
export { Dealer } from "./sockets/dealer.ts";
export { Pair } from "./sockets/pair.ts";
export { Publisher } from "./sockets/publisher.ts";
export { Pull } from "./sockets/pull.ts";
export { Push } from "./sockets/push.ts";
export type { Readable } from "./sockets/readable.ts";
export { Reply } from "./sockets/reply.ts";
export { Request } from "./sockets/request.ts";
export { Router } from "./sockets/router.ts";
export { Stream } from "./sockets/stream.ts";
export { Subscriber } from "./sockets/subscriber.ts";
export type { Subscription, Topic } from "./sockets/topics.ts";
export type { Writable } from "./sockets/writable.ts";
export { XPublisher } from "./sockets/xpublisher.ts";
export { XSubscriber } from "./sockets/xsubscriber.ts";
export type {
  Acceptance,
  Authenticate,
  AuthenticatedPeer,
  AuthenticateOption,
  AuthenticationRequest,
  Rejection,
  Verdict,
} from "./verdict.ts";
export { capability, version } from "./version.ts";
export type { WaitOptions } from "./wait.ts";
export { z85Decode, z85Encode } from "./z85.ts";
