import type { Properties, RadioOptions } from "../options.ts";
import { coreOf, defineOptions, Socket } from "../socket.ts";
import type { WaitOptions } from "../wait.ts";
import { encodeGroup, type Group } from "./groups.ts";
import { LabelledSending } from "./labelled.ts";
import { subscribed } from "./topics.ts";

/**
 * Sends every message to all {@link Dish} sockets that have joined its group. Messages have one
 * part beside the group. A Dish that is too slow loses messages, each of which is counted; it never
 * holds up the others, unless `noDrop` is set. A draft, over tcp, ipc and inproc: RFC 48,
 * ZMQ_RADIO.
 *
 * ```ts
 * await using radio = new Radio();
 * await radio.bind("tcp://127.0.0.1:5555");
 * await radio.joined("weather");
 * await radio.send("rain", { group: "weather" });
 * ```
 */
export class Radio extends LabelledSending(Socket, encodeGroup) {
  constructor(options?: RadioOptions) {
    super("Radio", options);
  }

  /**
   * Resolves when a message to this group would reach somebody; without one, when any group has
   * been joined. The end of the sleep before the first message. Waits up to `timeout` milliseconds,
   * by default for ever.
   *
   * Errors: EAGAIN (timeout, or closed while waiting), EBADF (closed), the reason of the signal;
   * EINVAL and TypeError for what is no group. Not in libzmq.
   *
   * ```ts
   * await radio.joined("weather", { timeout: 5000 });
   * ```
   */
  async joined(group?: Group, options?: WaitOptions): Promise<void> {
    const bytes = group === undefined ? undefined : encodeGroup({ group });
    return subscribed(this[coreOf], bytes, options);
  }
}

export interface Radio extends Properties<RadioOptions> {}

defineOptions(Radio.prototype, "Radio");
