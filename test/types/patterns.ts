// What must compile and what must not, for the classes that came after the first four; see api.ts.

import zmq, {
  capability,
  type ConnectOptions,
  Context,
  type ContextOptions,
  context,
  Dealer,
  type DealerOptions,
  type Message,
  Pair,
  Publisher,
  type PublisherOptions,
  Push,
  type Readable,
  Router,
  type RouterOptions,
  Stream,
  Subscriber,
  type SubscriberOptions,
  type Subscription,
  type Topic,
  type Writable,
  XPublisher,
  type XPublisherOptions,
  XSubscriber,
} from "monocoque";

// ---- What a socket can do is in its type ------------------------------------------------------

export async function directions(publisher: Publisher, subscriber: Subscriber) {
  const sends: Writable[] = [
    publisher, new XPublisher(), new XSubscriber(), new Dealer(), new Router(), new Pair(),
    new Stream(),
  ];
  const receives: Readable[] = [
    subscriber, new XPublisher(), new XSubscriber(), new Dealer(), new Router(), new Pair(),
    new Stream(),
  ];
  // @ts-expect-error: a Publisher receives nothing
  await publisher.receive();
  // @ts-expect-error: nor can it be iterated over
  for await (const _ of publisher);
  // @ts-expect-error: nor has it a timeout for that
  publisher.receiveTimeout = 1;
  // @ts-expect-error: a Subscriber sends nothing
  await subscriber.send("x");
  // @ts-expect-error: nor has it a queue for that
  subscriber.sendHighWaterMark = 1;
  return [...sends, ...receives, new zmq.Router()];
}

// ---- Topics -----------------------------------------------------------------------------------

export async function topics(publisher: Publisher, subscriber: Subscriber, signal: AbortSignal) {
  const all: Topic[] = ["text", Buffer.from("bytes"), new Uint8Array(1)];
  subscriber.subscribe();
  subscriber.subscribe(...all);
  subscriber.unsubscribe("text");
  const count: number = subscriber.topicsCount + publisher.topicsCount;
  await publisher.subscribed();
  await publisher.subscribed("text", { signal, timeout: 10 });
  new XPublisher().subscribe("text");
  {
    using subscription: Subscription = subscriber.topic("text");
    const message: Message = await subscriber.receive();
    const same: boolean = subscription.matches(message);
    subscription.unsubscribe();
    if (same) return count;
  }

  // @ts-expect-error: a number is no topic
  subscriber.subscribe(5);
  // @ts-expect-error: nor is a list of them
  subscriber.subscribe(["a", "b"]);
  // @ts-expect-error: a Publisher has no subscriptions of its own
  publisher.subscribe("a");
  // @ts-expect-error: an XSubscriber subscribes by sending
  new XSubscriber().subscribe("a");
  // @ts-expect-error: who subscribes is not subscribed to
  await subscriber.subscribed();
  // @ts-expect-error: it is told, not set
  subscriber.topicsCount = 5;
  return 0;
}

// ---- Options ----------------------------------------------------------------------------------

export function options() {
  const router: RouterOptions = { mandatory: true, handover: true, notifyPeers: "all" };
  const dealer: DealerOptions = { routingId: "a", probeRouter: true, conflate: true };
  const publisher: PublisherOptions = { noDrop: true, subscriptionsMax: 10 };
  const subscriber: SubscriberOptions = { invertMatching: true, metadata: { "X-Name": "value" } };
  const manual: XPublisherOptions = { manual: "lastValue", verbosity: "allSubs" };
  new Stream({ notify: false }).notify = true;
  new Router(router).notifyPeers = null;
  new XPublisher(manual).manual = true;
  new Publisher(publisher).noDrop = new Dealer(dealer).conflate;
  new Subscriber(subscriber).metadata = null;

  // @ts-expect-error: of another class
  new Dealer({ mandatory: true });
  // @ts-expect-error: a Stream has no handshake
  new Stream({ handshakeInterval: 5 });
  // @ts-expect-error: not one of its words
  new XPublisher({ verbosity: "all" });
  // @ts-expect-error: a value is text
  new Dealer({ metadata: { "X-Number": 5 } });
  // @ts-expect-error: a Publisher takes no requests
  new Publisher({ manual: true });
}

// ---- Connections and contexts -----------------------------------------------------------------

export async function connections(router: Router, stream: Stream, dealer: Dealer) {
  const name: ConnectOptions = { routingId: Buffer.from("a") };
  router.connect("tcp://127.0.0.1:1", name);
  stream.connect("tcp://127.0.0.1:1", { routingId: "a" });
  router.connect("tcp://127.0.0.1:1");
  // @ts-expect-error: its peers have no names
  dealer.connect("tcp://127.0.0.1:1", name);
  await dealer.connected();
  await dealer.connected("tcp://127.0.0.1:1", { timeout: 5 });
  // @ts-expect-error: the endpoint comes first
  await dealer.connected({ timeout: 5 });
}

export function contexts() {
  const wanted: ContextOptions = { maxSockets: 5, ipv6: true, blocky: false, maxMessageSize: 10 };
  const own = new Context(wanted);
  own.maxSockets = context.maxSocketsLimit;
  const theirs: Context = new Push({ context: own, linger: 0 }).context;
  // @ts-expect-error: there are none to set
  own.ioThreads = 5;
  // @ts-expect-error: a socket stays where it was made
  new Push().context = own;
  const curve: boolean = capability.curve;
  return [theirs, curve];
}
