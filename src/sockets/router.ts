import type { Properties, RouterOptions } from "../options.ts";
import { type ConnectOptions, coreOf, defineOptions, Socket } from "../socket.ts";
import { type PeerInfo, peerOf } from "./addressed.ts";
import { Receiving } from "./receiving.ts";
import { Sending } from "./sending.ts";

/**
 * Tells its peers apart: the first part of a received message is the routing id of its sender, the
 * first part of a sent one that of its receiver. A message for an id that nobody has is dropped and
 * counted, with `mandatory` it is an error (EHOSTUNREACH); a message that is an id only always is
 * one (EINVAL). Of two peers with the same id the second is refused, with an event, until the first
 * has left; with `handover` it takes the id over and the first one's connection ends. What that one
 * had sent before is still received, under the id. Source: RFC 28, ZMQ_ROUTER.
 *
 * ```ts
 * await using router = new Router({ mandatory: true });
 * await router.bind("tcp://127.0.0.1:5555");
 * for await (const [id, empty, question] of router) {
 *   await router.send([id, empty, `you asked ${question}`]);
 * }
 * ```
 */
export class Router extends Sending(Receiving(Socket)) {
  constructor(options?: RouterOptions) {
    super("Router", options);
  }

  /**
   * As {@link Socket.connect}; with `routingId` (1 to 255 bytes, default none) the peer goes by
   * that name here, whatever it calls itself, and can be sent to at once. Errors (thrown): as
   * `connect`; EADDRINUSE for an id that another peer has. Source: zmq_connect(3), ZMQ_CONNECT_ROUTING_ID.
   *
   * ```ts
   * router.connect("tcp://10.0.0.7:5555", { routingId: "store" });
   * await router.send(["store", "", "question"]);
   * ```
   */
  override connect(address: string, options?: ConnectOptions): void {
    this[coreOf].check();
    this[coreOf].connectTo(address, options);
  }

  /**
   * Who goes by this routing id at the moment, or undefined: nobody does. Errors (thrown): EBADF,
   * EBUSY; TypeError for what is no id. Source: zmq_socket_get_peer_state(3).
   *
   * ```ts
   * const [id, question] = await router.receive();
   * if (!router.peer(id!)?.writable) console.warn("the answer would have to wait");
   * ```
   */
  peer(routingId: string | Uint8Array): PeerInfo | undefined {
    return peerOf(this[coreOf], routingId);
  }
}

export interface Router extends Properties<RouterOptions> {}

defineOptions(Router.prototype, "Router");
