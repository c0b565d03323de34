import type { Properties, ServerOptions } from "../options.ts";
import { defineOptions } from "../socket.ts";
import { Numbered } from "./numbered.ts";

/**
 * Talks to any number of {@link Client} sockets in any order, each of which it knows by a number,
 * the `routingId`. Messages have one part. A draft: RFC 41, ZMQ_SERVER.
 *
 * ```ts
 * await using server = new Server();
 * await server.bind("tcp://127.0.0.1:5555");
 * for await (const [question, { routingId }] of server) {
 *   await server.send(`you asked ${question}`, { routingId });
 * }
 * ```
 */
export class Server extends Numbered {
  constructor(options?: ServerOptions) {
    super("Server", options);
  }
}

export interface Server extends Properties<ServerOptions> {}

defineOptions(Server.prototype, "Server");
