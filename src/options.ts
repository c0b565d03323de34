// The options of each socket type: groups of option_groups.ts, and what it alone has.

import type {
  ConflateOptions,
  GoodbyeOptions,
  HelloOptions,
  HiccupOptions,
  MatchingOptions,
  OverflowOptions,
  ProbeOptions,
  ProtocolOptions,
  PublishingOptions,
  ReceivingOptions,
  RoutingIdOptions,
  SendingOptions,
  SocketOptions,
  SubscriptionMessageOptions,
} from "./option_groups.ts";

/** What a Pair can be set to. */
export interface PairOptions
  extends SocketOptions, ProtocolOptions, SendingOptions, ReceivingOptions {}

/** What a Publisher can be set to. */
export interface PublisherOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    PublishingOptions,
    MatchingOptions,
    ConflateOptions {}

/** What a Subscriber can be set to. Its `linger` is 0: nothing that it sends is worth a wait. */
export interface SubscriberOptions
  extends SocketOptions, ProtocolOptions, ReceivingOptions, MatchingOptions, ConflateOptions {}

/** What an XPublisher can be set to. */
export interface XPublisherOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    PublishingOptions,
    MatchingOptions,
    SubscriptionMessageOptions {
  /**
   * Which requests are received: null the first subscription to a topic and its last cancel,
   * "allSubs" every subscription, "allSubsUnsubs" every cancel too. Default null. Now.
   * ZMQ_XPUB_VERBOSE, ZMQ_XPUB_VERBOSER
   */
  verbosity?: "allSubs" | "allSubsUnsubs" | null;
  /**
   * Requests have no effect by themselves: `subscribe` and `unsubscribe` decide, for the peer whose
   * request was received last. With "lastValue" the message that is sent after a request goes to that
   * peer alone. Default false. Now. ZMQ_XPUB_MANUAL, ZMQ_XPUB_MANUAL_LAST_VALUE
   */
  manual?: boolean | "lastValue";
  /**
   * What each new subscriber is sent first, if it is subscribed to that; null none. Default null.
   * Now. ZMQ_XPUB_WELCOME_MSG
   */
  welcomeMessage?: string | Uint8Array | null;
}

/** What an XSubscriber can be set to. Its `linger` is 0. */
export interface XSubscriberOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    SubscriptionMessageOptions {
  /**
   * Send every cancel, not only the last one of a topic. Default false. Now.
   * ZMQ_XSUB_VERBOSE_UNSUBSCRIBE
   */
  verboseUnsubscribe?: boolean;
}

/** What a Push can be set to. */
export interface PushOptions
  extends SocketOptions, ProtocolOptions, SendingOptions, ConflateOptions {}

/** What a Pull can be set to. */
export interface PullOptions
  extends SocketOptions, ProtocolOptions, ReceivingOptions, ConflateOptions {}

/** What a Request can be set to. */
export interface RequestOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    RoutingIdOptions,
    ProbeOptions {
  /** Number the requests and drop replies to earlier ones. Default false. Now. ZMQ_REQ_CORRELATE */
  correlate?: boolean;
  /**
   * Allow a new request before the reply to the last, which is then given up; best together with
   * `correlate`. Default false. Now. ZMQ_REQ_RELAXED
   */
  relaxed?: boolean;
}

/** What a Reply can be set to. */
export interface ReplyOptions
  extends SocketOptions, ProtocolOptions, SendingOptions, ReceivingOptions, RoutingIdOptions {}

/** What a Dealer can be set to. */
export interface DealerOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    RoutingIdOptions,
    ProbeOptions,
    HelloOptions,
    HiccupOptions,
    ConflateOptions {}

/** What a Router can be set to. */
export interface RouterOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    RoutingIdOptions,
    ProbeOptions,
    OverflowOptions,
    HelloOptions,
    GoodbyeOptions {
  /**
   * A message for an id that nobody has is EHOSTUNREACH, and send waits for room, instead of dropping
   * the message in either case. Default false. Now. ZMQ_ROUTER_MANDATORY
   */
  mandatory?: boolean;
  /**
   * A new peer takes over an id that another one has, instead of being turned away. Default false.
   * Now. ZMQ_ROUTER_HANDOVER
   */
  handover?: boolean;
  /**
   * Receive [id, empty] when a peer comes ("connect"), goes ("disconnect"), or both ("all"); null
   * neither. Default null. Now. ZMQ_ROUTER_NOTIFY
   */
  notifyPeers?: "connect" | "disconnect" | "all" | null;
}

/** What a Stream can be set to. */
export interface StreamOptions extends SocketOptions, SendingOptions, ReceivingOptions {
  /** Receive [id, empty] when a connection begins and ends. Default true. Now. ZMQ_STREAM_NOTIFY */
  notify?: boolean;
}

/** What a Server can be set to. */
export interface ServerOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    HelloOptions,
    GoodbyeOptions {}

/** What a Peer can be set to. */
export interface PeerOptions extends ServerOptions, HiccupOptions {}

/** What a Client can be set to. */
export interface ClientOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    HelloOptions,
    HiccupOptions {}

/** What a Radio can be set to; its topics are the groups. */
export interface RadioOptions
  extends SocketOptions, ProtocolOptions, SendingOptions, PublishingOptions {}

/** What a Dish can be set to. */
export interface DishOptions extends SocketOptions, ProtocolOptions, ReceivingOptions {}

/** What a Gather can be set to. */
export interface GatherOptions extends PullOptions {}

/** What a Scatter can be set to. */
export interface ScatterOptions extends PushOptions {}

/** What a Channel can be set to. */
export interface ChannelOptions extends PairOptions {}

/** The options of each class. */
export interface OptionsOf {
  Pair: PairOptions;
  Publisher: PublisherOptions;
  Subscriber: SubscriberOptions;
  Request: RequestOptions;
  Reply: ReplyOptions;
  Dealer: DealerOptions;
  Router: RouterOptions;
  Pull: PullOptions;
  Push: PushOptions;
  XPublisher: XPublisherOptions;
  XSubscriber: XSubscriberOptions;
  Stream: StreamOptions;
  Server: ServerOptions;
  Client: ClientOptions;
  Radio: RadioOptions;
  Dish: DishOptions;
  Gather: GatherOptions;
  Scatter: ScatterOptions;
  Peer: PeerOptions;
  Channel: ChannelOptions;
}

export type SocketTypeName = keyof OptionsOf;

type Everything = { [Name in SocketTypeName]: (options: OptionsOf[Name]) => void };
type Intersection<Functions> = Functions[keyof Functions] extends (options: infer Options) => void
  ? Options
  : never;

/** Options as the properties of a socket. */
export type Properties<Options> = Required<Omit<Options, "context">>;

/** Every option there is, with a value. */
export type AllOptions = Properties<Intersection<Everything>>;

export type OptionName = keyof AllOptions;

export type OptionNameOf<Type extends SocketTypeName> = keyof Properties<OptionsOf[Type]> &
  OptionName;
