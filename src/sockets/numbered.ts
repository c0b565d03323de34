// Sockets that know their peers by a number: Server and Peer.

import { errnoError, zmqError } from "../errors.ts";
import { checkInteger } from "../option_check.ts";
import { coreOf, Socket } from "../socket.ts";
import type { SocketCore } from "../socket_core.ts";
import { type PeerInfo, peerOf } from "./addressed.ts";
import { LabelledReceiving, LabelledSending } from "./labelled.ts";

/** The peer that a message came from or goes to. */
export interface RoutingOptions {
  /** Chosen by this socket when the peer connects; 1 to 4,294,967,295. */
  routingId: number;
}

/** What is known of a peer that goes by a number. */
export interface NumberedPeerInfo extends Omit<PeerInfo, "routingId">, RoutingOptions {}

const ids = { type: "integer", min: 0, max: 2 ** 32 - 1, unit: "" } as const;

/** As the native side has it: in the order of a machine that is little-endian. */
function encode(options: RoutingOptions): Buffer {
  const id = Buffer.allocUnsafe(4);
  id.writeUInt32LE(checkInteger("routingId", options?.routingId, ids));
  return id;
}

function decode(id: Buffer): RoutingOptions {
  return { routingId: id.readUInt32LE() };
}

/** What {@link Server} and {@link Peer} have in common. */
export abstract class Numbered extends LabelledSending(
  LabelledReceiving(Socket, decode),
  encode,
) {
  /**
   * Who goes by this id at the moment, or undefined: nobody does. Errors (thrown): EBADF, EBUSY;
   * EINVAL and TypeError for what is no id. Not in libzmq.
   *
   * ```ts
   * const [question, { routingId }] = await server.receive();
   * console.log(server.peer(routingId)?.address, question);
   * ```
   */
  peer(routingId: number): NumberedPeerInfo | undefined {
    const peer = peerOf(this[coreOf], encode({ routingId }));
    return peer && { ...peer, routingId };
  }

  /**
   * Ends the connection of one peer, for good where this socket had made it. What it has sent and
   * was not received is dropped, what is queued for it has `linger` milliseconds to leave. Errors
   * (thrown): EHOSTUNREACH (nobody has this id), EBADF, EBUSY; EINVAL and TypeError for what is no
   * id. Source: zmq_disconnect_peer(3).
   *
   * ```ts
   * server.disconnectPeer(routingId);
   * ```
   */
  disconnectPeer(routingId: number): void {
    const core = this[coreOf];
    core.check();
    const { context, endpoints, handle } = core;
    const { connected } = endpoints;
    const { native } = context;
    const id = encode({ routingId });
    const made = connected.findIndex(
      ({ session }) => routingId !== 0 && native.socket_peer_number(handle, session) === routingId,
    );
    const status = native.socket_disconnect_peer(handle, id, id.length, core.values.linger);
    if (status < 0) throw errnoError(status, { advice: `No peer has the id ${routingId}.` });
    if (made >= 0) connected.splice(made, 1);
    core.connections.look();
  }
}

export function connectPeer(core: SocketCore, address: string): number {
  core.check();
  if (core.values.immediate) {
    throw zmqError("EINVAL", {
      endpoint: address,
      advice: "A peer has no id before it is there while the option immediate is set.",
    });
  }
  core.connectTo(address);
  const { session } = core.connected.at(-1)!;
  const id = core.context.native.socket_peer_number(core.handle, session);
  if (id !== 0) return id;
  const advice = "The first attempt failed, and reconnectInterval says that there is no other.";
  throw zmqError("EHOSTUNREACH", { endpoint: address, advice });
}
