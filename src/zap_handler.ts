// Asking the ZAP handler of a context: a question and its answer, on a connection of their own, as each
// session of libzmq has one. So an answer that comes late or twice meets nobody, and a wrong one is the
// asker's affair alone.

import type { Dispatch, NativeContext } from "./context.ts";
import {
  CursorRecord,
  ENTRY_MORE,
  INTEREST_READABLE,
  SEND_MORE,
  SharedRecord,
  SocketRecord,
} from "./ffi/abi.generated.ts";
import { load } from "./ffi/native.ts";
import {
  ENTRIES,
  ENTRY_WORDS,
  FLAGS,
  LENGTH,
  readResult,
  RING_MASK,
  writeRoutingId,
} from "./ffi/records.ts";
import type { Context } from "./socket_context.ts";
import { typeNumbers } from "./type_numbers.ts";
import { encodeZapRequest, parseZapReply, ZAP_ENDPOINT } from "./zap.ts";
import type { ZapFault, ZapReply, ZapRequest } from "./zap.ts";

const NAME = ZAP_ENDPOINT.slice("inproc://".length);
const CURSOR = (SharedRecord.record.offset + SocketRecord.cursor.offset) / 4;
const TAKEN = CURSOR + CursorRecord.taken.offset / 4;
const FILLED = CURSOR + CursorRecord.filled.offset / 4;

/** With the delimiter. */
const REPLY_PARTS = 7;

let asked = 0;

/**
 * Asks the handler; undefined: there is none. `done` is called with its answer, once, unless the question
 * is withdrawn by calling what is returned. Neither keeps the process alive.
 */
export function askHandler(
  context: NativeContext,
  owner: Context,
  request: ZapRequest,
  done: (reply: ZapReply | ZapFault) => void,
): (() => void) | undefined {
  const line = Line.open(context, owner);
  if (line === undefined) return undefined;
  line.ask(request, done);
  return () => line.close();
}

class Line implements Dispatch {
  readonly onEvents = undefined;
  readonly #context: NativeContext;
  readonly #handle: number;
  #id = "";
  #done: ((reply: ZapReply | ZapFault) => void) | undefined;
  #closed = false;

  private constructor(context: NativeContext, handle: number) {
    this.#context = context;
    this.#handle = handle;
  }

  /** Undefined: nobody who could answer is there. */
  static open(context: NativeContext, owner: Context): Line | undefined {
    const { native, record } = context;
    if (native.socket_open(typeNumbers.Dealer) < 0) return undefined;
    const handle = readResult(record);
    const line = new Line(context, handle);
    context.add(handle, line);
    writeRoutingId(record, undefined);
    const name = Buffer.from(owner.inprocNamespace + NAME);
    const status = native.socket_connect_inproc(handle, name, name.length);
    if (status >= 0 && native.socket_connections(handle, 0) > 0) return line;
    line.close();
    return undefined;
  }

  ask(request: ZapRequest, done: (reply: ZapReply | ZapFault) => void): void {
    asked += 1;
    this.#id = String(asked);
    this.#done = done;
    const { native } = this.#context;
    const parts = ["", ...encodeZapRequest(this.#id, request)].map((part) => Buffer.from(part));
    parts.forEach((part, index) => {
      const more = index < parts.length - 1 ? SEND_MORE : 0;
      native.send(this.#handle, part, part.length, more);
      part.fill(0);
    });
    native.socket_want(this.#handle, INTEREST_READABLE);
    this.#context.scheduleFlush();
  }

  onReady(): void {
    if (this.#closed || this.#context.native.fill(this.#handle) < 0) return;
    const parts = this.#take();
    if (parts.length === 0) {
      this.#context.native.socket_want(this.#handle, INTEREST_READABLE);
      return;
    }
    const done = this.#done;
    this.close();
    const [delimiter, ...rest] = parts as [Buffer, ...Buffer[]];
    done?.(delimiter.length > 0 ? "ERR_ZAP_MALFORMED_REPLY" : parseZapReply(this.#id, rest));
  }

  /** The parts of the first message; of one that has too many, one too many. */
  #take(): Buffer[] {
    const words = new Uint32Array(load().socketShared(this.#handle, SharedRecord.bytes));
    const parts: Buffer[] = [];
    for (let at = words[TAKEN]!; at !== words[FILLED]; at = (at + 1) >>> 0) {
      const entry = ENTRIES + (at & RING_MASK) * ENTRY_WORDS;
      const part = Buffer.alloc(words[entry + LENGTH]!);
      this.#context.native.copy(this.#handle, at, part, part.length);
      parts.push(part);
      if ((words[entry + FLAGS]! & ENTRY_MORE) === 0 || parts.length > REPLY_PARTS) break;
    }
    return parts;
  }

  onResolve(): void {
    // It connects to no name that is looked up.
  }

  onAuthenticate(): void {
    // Within the process nobody is asked about.
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#done = undefined;
    this.#context.remove(this.#handle);
    void this.#context.closing.close(this.#handle, 0, () => {});
    this.#context.turnSoon();
  }
}
