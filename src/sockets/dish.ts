import type { DishOptions, Properties } from "../options.ts";
import { coreOf, defineOptions, Socket } from "../socket.ts";
import { decodeGroup, type Group, join, leave } from "./groups.ts";
import { LabelledReceiving } from "./labelled.ts";

/**
 * Receives the messages of its {@link Radio} sockets to the groups that it has joined, each with
 * its group; before that, none. A draft, over tcp, ipc and inproc: RFC 48, ZMQ_DISH.
 *
 * ```ts
 * await using dish = new Dish();
 * dish.connect("tcp://127.0.0.1:5555");
 * dish.join("weather", "alarm");
 * for await (const [text, { group }] of dish) console.log(`${group}: ${text}`);
 * ```
 */
export class Dish extends LabelledReceiving(Socket, decodeGroup) {
  constructor(options?: DishOptions) {
    super("Dish", options);
  }

  /**
   * Joins groups, which are compared as a whole: "weather" is not "weather.oslo". Radios hear of it
   * at once, or with their connection. Errors (thrown): EINVAL (joined already, longer than 255
   * bytes, with a NUL), EBADF, EBUSY, ENOMEM; TypeError for what is no group. Source: zmq_join(3).
   *
   * ```ts
   * dish.join("weather", "alarm");
   * ```
   */
  join(...groups: Group[]): void {
    join(this[coreOf], groups);
  }

  /**
   * Leaves groups. What had arrived for them is dropped. Errors (thrown): EINVAL (not joined), and
   * as `join`. Source: zmq_leave(3).
   *
   * ```ts
   * dish.leave("alarm");
   * ```
   */
  leave(...groups: Group[]): void {
    leave(this[coreOf], groups);
  }
}

export interface Dish extends Properties<DishOptions> {}

defineOptions(Dish.prototype, "Dish");
