// How the native side makes Bun's event loop call us: it signals an eventfd. While something waits
// (a receive, a blocked send) that is read as a stream, which keeps the process alive. While
// nothing does, sockets still have to accept, reconnect and answer heartbeats, but must not keep the
// process: then the descriptor is watched by a Bun socket that is unref'd. An eventfd is no socket,
// so that watch ends with its first signal (recv says ENOTSOCK) and is made again.

import type { Native } from "./ffi/native.ts";

/** Milliseconds a stream is kept after the last wait: a new stream costs 8 to 20 µs. */
const STREAM_KEPT_MS = 20;

/** Milliseconds between looks where the unref'd watch cannot be had. */
const POLL_MS = 50;

type Mode = "off" | "stream" | "watch";

interface WakeReader {
  read(): Promise<{ done: boolean }>;
  cancel(): Promise<void>;
}

export class Wake {
  readonly #native: Native;
  readonly #onWake: () => void;
  #mode: Mode = "off";
  #reader: WakeReader | undefined;
  #watch: { close(): void } | undefined;
  #poll: Timer | undefined;
  #leave: Timer | undefined;
  #waits = 0;
  #open = false;

  constructor(native: Native, onWake: () => void) {
    this.#native = native;
    this.#onWake = onWake;
  }

  /** Sockets are open, or none is any more. */
  setOpen(open: boolean): void {
    if (this.#open === open) return;
    this.#open = open;
    // Most programs wait right after they have opened a socket: the watch is not worth making then.
    if (open) setImmediate(() => this.#settle());
    else this.#settle();
  }

  /** Something waits: the process stays alive until as many `unref` calls. */
  ref(): void {
    this.#waits += 1;
    if (this.#mode !== "stream") this.#settle();
  }

  unref(): void {
    this.#waits -= 1;
    if (this.#waits > 0 || this.#leave !== undefined) return;
    // A round trip waits, runs and waits again: the stream outlives the gaps.
    this.#leave = setTimeout(() => {
      this.#leave = undefined;
      this.#settle();
    }, STREAM_KEPT_MS);
    this.#leave.unref();
  }

  stop(): void {
    this.#open = false;
    this.#waits = 0;
    this.#settle();
  }

  #settle(): void {
    const waited = this.#waits > 0 || this.#leave !== undefined;
    const wanted: Mode = !this.#open ? "off" : waited ? "stream" : "watch";
    if (wanted === this.#mode) return;
    // A stream may have taken a signal that nobody has been told of: then nothing else would.
    if (this.#mode === "stream") setImmediate(this.#onWake);
    this.#end();
    this.#mode = wanted;
    if (wanted === "stream") this.#startStream();
    if (wanted === "watch") this.#startWatch();
  }

  #end(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    // A cancelled stream closes its own descriptor; nobody is left to tell about a failure.
    reader?.cancel().catch(() => {});
    const watch = this.#watch;
    this.#watch = undefined;
    watch?.close();
    clearInterval(this.#poll);
    this.#poll = undefined;
    clearTimeout(this.#leave);
    this.#leave = undefined;
  }

  #startStream(): void {
    const reader: WakeReader = Bun.file(this.#native.wake_descriptor()).stream().getReader();
    this.#reader = reader;
    void this.#pump(reader);
  }

  async #pump(reader: WakeReader): Promise<void> {
    while (this.#reader === reader) {
      const { done } = await reader.read();
      if (done || this.#reader !== reader) return;
      this.#onWake();
    }
  }

  #startWatch(): void {
    const descriptor = this.#native.wake_duplicate();
    if (descriptor < 0) {
      this.#startPoll();
      return;
    }
    let armed = true;
    const onSignal = () => {
      if (!armed) return;
      armed = false;
      if (this.#mode !== "watch" || this.#poll !== undefined) return;
      this.#watch = undefined;
      this.#native.wake_drain();
      this.#startWatch();
      this.#onWake();
    };
    const refused = () => {
      armed = false;
      if (this.#mode === "watch") this.#startPoll();
    };
    const handler = {
      // The socket exists before the promise resolves: unref'd at once, or the loop would wait.
      open: (socket: { unref(): void }) => socket.unref(),
      data: () => {},
      close: onSignal,
      error: onSignal,
      connectError: refused,
    };
    const options = { fd: descriptor, socket: handler } as unknown as Parameters<typeof connect>[0];
    connect(options).then((socket) => {
      if (!armed) return;
      if (this.#mode !== "watch") {
        armed = false;
        socket.end();
        return;
      }
      this.#watch = {
        close: () => {
          armed = false;
          socket.end();
        },
      };
    }, refused);
  }

  #startPoll(): void {
    this.#poll ??= setInterval(() => {
      this.#native.wake_drain();
      this.#onWake();
    }, POLL_MS);
    this.#poll.unref();
  }
}

const connect = Bun.connect;
