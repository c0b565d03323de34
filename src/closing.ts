// Sockets that were closed and have something left to send: the process stays for them as long as
// their linger allows, and whoever closed them learns what was lost.

import type { Native } from "./ffi/native.ts";
import { readResult } from "./ffi/records.ts";

/** What keeps the process alive. */
interface Holder {
  readonly native: Native;
  readonly record: DataView;
  ref(): void;
  unref(): void;
}

export class Closing {
  readonly #context: Holder;
  readonly #tell = new Map<number, (lost: number) => void>();

  constructor(context: Holder) {
    this.#context = context;
  }

  /**
   * Resolves to the number of messages that were not sent; never rejects. `last` is called when the
   * socket has ended: its shared memory is there until then.
   */
  close(socket: number, lingerMs: number, last: () => void): Promise<number> {
    const { native, record } = this.#context;
    const status = native.socket_close(socket, lingerMs);
    const lost = readResult(record);
    const end = () => {
      last();
      native.socket_forget(socket);
    };
    if (status !== 1) {
      end();
      return Promise.resolve(lost);
    }
    this.#context.ref();
    return new Promise((resolve) => {
      this.#tell.set(socket, (left) => {
        end();
        resolve(left);
      });
    });
  }

  ended(socket: number, lost: number): void {
    this.#tell.get(socket)?.(lost);
    if (this.#tell.delete(socket)) this.#context.unref();
  }
}
