import type { Properties, StreamOptions } from "../options.ts";
import { readRoutingId } from "../ffi/records.ts";
import { type ConnectOptions, coreOf, defineOptions, Socket } from "../socket.ts";
import { type PeerInfo, peerOf } from "./addressed.ts";
import { Receiving } from "./receiving.ts";
import { Sending } from "./sending.ts";

/**
 * Plain TCP, for peers that do not speak ZeroMQ. A message is `[routing id, bytes]`, the id
 * standing for a connection; empty bytes tell that it begins or has ended (`notify`), and close it
 * when sent, behind what is queued: for `linger`, at least what the kernel takes at once.
 * Source: ZMQ_STREAM.
 *
 * ```ts
 * await using stream = new Stream();
 * await stream.bind("tcp://127.0.0.1:8080");
 * for await (const [id, bytes] of stream) {
 *   if (bytes.length > 0) await stream.send([id, bytes]);
 * }
 * ```
 */
export class Stream extends Sending(Receiving(Socket)) {
  constructor(options?: StreamOptions) {
    super("Stream", options);
  }

  /**
   * As {@link Socket.connect}; with `routingId` (1 to 255 bytes, default one that is made up) the
   * connection goes by that name. Returns the id; it can be sent to at once. Errors (thrown): as
   * `connect`; EADDRINUSE for an id that another connection has. Source: zmq_connect(3),
   * ZMQ_CONNECT_ROUTING_ID, ZMQ_ROUTING_ID.
   *
   * ```ts
   * const id = stream.connect("tcp://127.0.0.1:80");
   * await stream.send([id, "GET / HTTP/1.0\r\n\r\n"]);
   * ```
   */
  override connect(address: string, options?: ConnectOptions): Buffer {
    const core = this[coreOf];
    core.check();
    core.connectTo(address, options);
    return readRoutingId(core.context.record);
  }

  /**
   * Which connection goes by this routing id, or undefined: none does. Errors (thrown): EBADF,
   * EBUSY; TypeError for what is no id. Source: zmq_socket_get_peer_state(3), for a ROUTER.
   *
   * ```ts
   * const [id, bytes] = await stream.receive();
   * console.log(`${bytes?.length} bytes from ${stream.peer(id!)?.address}`);
   * ```
   */
  peer(routingId: string | Uint8Array): PeerInfo | undefined {
    return peerOf(this[coreOf], routingId);
  }
}

export interface Stream extends Properties<StreamOptions> {}

defineOptions(Stream.prototype, "Stream");
