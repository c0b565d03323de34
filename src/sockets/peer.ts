import type { PeerOptions, Properties } from "../options.ts";
import { coreOf, defineOptions } from "../socket.ts";
import { connectPeer, Numbered } from "./numbered.ts";

/**
 * Talks to any number of other {@link Peer} sockets in any order, each of which it knows by a
 * number, the `routingId`, whoever connected to whom. Messages have one part. A draft: ZMQ_PEER.
 *
 * ```ts
 * await using peer = new Peer();
 * const routingId = peer.connectPeer("tcp://127.0.0.1:5555");
 * await peer.send("hello", { routingId });
 * const [answer, from] = await peer.receive();
 * ```
 */
export class Peer extends Numbered {
  constructor(options?: PeerOptions) {
    super("Peer", options);
  }

  /**
   * As `connect`; returns the id of the peer at the other end, which can be sent to
   * before it is there and keeps it over reconnections. Errors (thrown): as `connect`; EINVAL with
   * the option `immediate`. Source: zmq_connect_peer(3).
   *
   * ```ts
   * const routingId = peer.connectPeer("tcp://10.0.0.7:5555");
   * ```
   */
  connectPeer(address: string): number {
    return connectPeer(this[coreOf], address);
  }
}

export interface Peer extends Properties<PeerOptions> {}

defineOptions(Peer.prototype, "Peer");
