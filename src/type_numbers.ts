// What the native side and libzmq call the classes.

import { SocketType } from "./ffi/abi.generated.ts";
import type { SocketTypeName } from "./options.ts";

/** The numbers libzmq gives the types. */
export const typeNumbers: Record<SocketTypeName, number> = {
  Pair: SocketType.pair,
  Publisher: SocketType.pub,
  Subscriber: SocketType.sub,
  Request: SocketType.req,
  Reply: SocketType.rep,
  Dealer: SocketType.dealer,
  Router: SocketType.router,
  Pull: SocketType.pull,
  Push: SocketType.push,
  XPublisher: SocketType.xpub,
  XSubscriber: SocketType.xsub,
  Stream: SocketType.stream,
  Server: SocketType.server,
  Client: SocketType.client,
  Radio: SocketType.radio,
  Dish: SocketType.dish,
  Gather: SocketType.gather,
  Scatter: SocketType.scatter,
  Peer: SocketType.peer,
  Channel: SocketType.channel,
};
