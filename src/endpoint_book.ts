// The endpoints of one socket: what it is bound and connected to, and which of them a text means.

import { addressKey, type Endpoint, sameAddress } from "./endpoint.ts";
import { zmqError } from "./errors.ts";
import type { Native } from "./ffi/native.ts";
import type { AllOptions } from "./options.ts";
import type { Route } from "./route.ts";

export interface Bound {
  text: string;
  boundText: string;
  listener: number;
  path: string | undefined;
}

export interface Connected {
  endpoint: Endpoint;
  /** Made once: thousands of connections are compared with each new one. */
  key: string | undefined;
  /** Undefined for inproc. */
  route: Route | undefined;
  session: number;
}

export class EndpointBook {
  readonly bound: Bound[] = [];
  readonly connected: Connected[] = [];
  readonly #native: Native;
  readonly #handle: number;
  readonly #values: AllOptions;

  constructor(native: Native, handle: number, values: AllOptions) {
    this.#native = native;
    this.#handle = handle;
    this.#values = values;
  }

  /** The endpoint as it was given or as it was bound; a wildcard is no name for either. */
  boundTo(text: string): Bound[] {
    const same = sameAddress(text, "bind", this.#values);
    return this.bound.filter(
      (entry) => same(entry.boundText) || (entry.text === text && !text.includes("*")),
    );
  }

  /** Those that have not ended by themselves (`reconnectInterval: -1`). */
  connectedTo(text: string): Connected[] {
    const wanted = addressKey(text, "connect", this.#values);
    return this.connected.filter((entry) => {
      const same = entry.endpoint.text === text || (wanted !== undefined && entry.key === wanted);
      return same && !this.#hasEnded(entry);
    });
  }

  #hasEnded({ session }: Connected): boolean {
    return this.#native.socket_connections(this.#handle, session) < 0;
  }

  forgetEnded(): void {
    for (let i = this.connected.length - 1; i >= 0; i -= 1) {
      if (this.#hasEnded(this.connected[i]!)) this.connected.splice(i, 1);
    }
  }

  /** Whether a connection of an endpoint, or any, has done its handshake; ENOENT: no such endpoint. */
  hasConnection(text: string | undefined): boolean {
    if (text === undefined) return this.#native.socket_connections(this.#handle, 0) > 0;
    const ids = [
      ...this.connectedTo(text).map(({ session }) => session),
      ...this.boundTo(text).map(({ listener }) => listener),
    ];
    if (ids.length === 0) throw zmqError("ENOENT", { endpoint: text });
    return ids.some((id) => this.#native.socket_connections(this.#handle, id) > 0);
  }

  textOf(id: number): string {
    const connected = this.connected.find((entry) => entry.session === id);
    if (connected) return connected.endpoint.text;
    return this.bound.find((entry) => entry.listener === id)?.boundText ?? "";
  }
}
