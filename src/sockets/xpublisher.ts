import type { Properties, XPublisherOptions } from "../options.ts";
import { coreOf, defineOptions, Socket } from "../socket.ts";
import { Publishing } from "./publishing.ts";
import { Receiving } from "./receiving.ts";
import { Sending } from "./sending.ts";
import { subscribe, type Topic, unsubscribe } from "./topics.ts";

/**
 * A {@link Publisher} that receives what its subscribers ask for: `01` and a topic to subscribe,
 * `00` and a topic to cancel, which of them is up to `verbosity`. Whatever else they send is received
 * as it is. Source: RFC 29, ZMQ_XPUB.
 *
 * ```ts
 * await using publisher = new XPublisher();
 * await publisher.bind("tcp://127.0.0.1:5555");
 * const [request] = await publisher.receive();
 * console.log(request[0] === 1 ? "subscribe" : "cancel", request.subarray(1).toString());
 * ```
 */
export class XPublisher extends Publishing(Sending(Receiving(Socket))) {
  constructor(options?: XPublisherOptions) {
    super("XPublisher", options);
  }

  /**
   * With `manual`: subscribes the peer whose request was received last, to topics of our choice; none
   * stands for everything. Nothing happens when it has gone. Errors (thrown): EINVAL (not `manual`),
   * EBADF, EBUSY, ENOMEM; TypeError for what is no topic. Source: ZMQ_SUBSCRIBE, ZMQ_XPUB_MANUAL.
   *
   * ```ts
   * const [request] = await publisher.receive();
   * if (request[0] === 1) publisher.subscribe(`tenant-7.${request.subarray(1)}`);
   * ```
   */
  subscribe(...topics: Topic[]): void {
    subscribe(this[coreOf], topics);
  }

  /**
   * With `manual`: undoes `subscribe` for the peer whose request was received last. Errors (thrown):
   * as `subscribe`. Source: ZMQ_UNSUBSCRIBE, ZMQ_XPUB_MANUAL.
   *
   * ```ts
   * if (request[0] === 0) publisher.unsubscribe(`tenant-7.${request.subarray(1)}`);
   * ```
   */
  unsubscribe(...topics: Topic[]): void {
    unsubscribe(this[coreOf], topics);
  }
}

export interface XPublisher extends Properties<XPublisherOptions> {}

defineOptions(XPublisher.prototype, "XPublisher");
