import type { ClientOptions, Properties } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { SingleReceiving, SingleSending } from "./single.ts";

/**
 * Talks to {@link Server} sockets: gives them messages in turn and takes theirs in turn. Messages
 * have one part. A draft: RFC 41, ZMQ_CLIENT.
 *
 * ```ts
 * await using client = new Client();
 * client.connect("tcp://127.0.0.1:5555");
 * await client.send("question");
 * const [answer] = await client.receive();
 * ```
 */
export class Client extends SingleSending(SingleReceiving(Socket)) {
  constructor(options?: ClientOptions) {
    super("Client", options);
  }
}

export interface Client extends Properties<ClientOptions> {}

defineOptions(Client.prototype, "Client");
