import type { ChannelOptions, Properties } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { SingleReceiving, SingleSending } from "./single.ts";

/**
 * Talks to exactly one other {@link Channel}, in both directions and any order. Messages have one
 * part. Whoever else connects is turned away, until the first one leaves. A draft: RFC 52,
 * ZMQ_CHANNEL.
 *
 * ```ts
 * await using channel = new Channel();
 * channel.connect("tcp://127.0.0.1:5555");
 * await channel.send("ping");
 * const [pong] = await channel.receive();
 * ```
 */
export class Channel extends SingleSending(SingleReceiving(Socket)) {
  constructor(options?: ChannelOptions) {
    super("Channel", options);
  }
}

export interface Channel extends Properties<ChannelOptions> {}

defineOptions(Channel.prototype, "Channel");
