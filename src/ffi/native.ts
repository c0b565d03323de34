// The only file that imports "bun:ffi": loads the library, checks that it was built from the same
// description as this code, and gives typed calls and views of shared memory to the rest.

import { dlopen, type Pointer, toArrayBuffer } from "bun:ffi";
import { FINGERPRINT, functions } from "./abi.generated.ts";
import { node } from "../node.ts";
import { findLibrary } from "./library.ts";

/** Memory that is passed for the length of one call. */
export type Memory = NodeJS.TypedArray | null;

/** The library's functions, without their prefix. They take this thread's context. */
export interface Native {
  context_create(memoryMib: number, backend: number): number;
  context_destroy(): void;
  context_stats(): void;
  wake_descriptor(): number;
  wake_duplicate(): number;
  wake_drain(): void;
  arena_lend(chunk: Memory, bytes: number): number;
  arena_viewed(viewed: number): void;
  tick(blocking: number): number;
  spin(microseconds: number): void;
  memory_limit(kibibytes: number): void;
  poll(): void;
  flush(): number;
  wait(timeoutMs: number): number;
  has_events(): number;
  events(): number;
  socket_open(type: number): number;
  socket_close(socket: number, lingerMs: number): number;
  socket_forget(socket: number): number;
  socket_bind(socket: number): number;
  socket_bind_inproc(socket: number, name: Memory, bytes: number): number;
  socket_connect_inproc(socket: number, name: Memory, bytes: number): number;
  socket_unbind(socket: number, endpoint: number, lingerMs: number): number;
  socket_connect(socket: number, named: number): number;
  socket_disconnect(socket: number, endpoint: number, lingerMs: number): number;
  socket_connections(socket: number, endpoint: number): number;
  socket_unsent(socket: number): number;
  socket_queues(socket: number): number;
  socket_peers(socket: number, skipped: number): number;
  socket_limits_changed(socket: number): number;
  socket_subscribe(socket: number, topic: Memory, bytes: number): number;
  socket_unsubscribe(socket: number, topic: Memory, bytes: number): number;
  socket_subscribed(socket: number, topic: Memory, bytes: number): number;
  socket_peer(socket: number, routingId: Memory, bytes: number): number;
  socket_peer_number(socket: number, endpoint: number): number;
  socket_disconnect_peer(socket: number, id: Memory, bytes: number, lingerMs: number): number;
  socket_set_bytes(socket: number, option: number, value: Memory, bytes: number): number;
  /** Takes what `writeSecurity` has written, and wipes it. */
  socket_secure(socket: number): number;
  authentication(session: number, request: number): number;
  /** Wipes what `authentication` has left. */
  authenticated(session: number, request: number, verdict: number): number;
  curve_key_pair(target: Memory): number;
  curve_public_key(secret: Memory, target: Memory): number;
  socket_ready(socket: number): number;
  socket_want(socket: number, interest: number): number;
  endpoint_resolved(endpoint: number, count: number): number;
  /** `part` must be a typed array: a number would be taken for an address. */
  send(socket: number, part: NodeJS.TypedArray, bytes: number, flags: number): number;
  commit(): number;
  fill(socket: number): number;
  copy(socket: number, position: number, target: Memory, bytes: number): number;
  /** The buffer must stay referenced and in place until its message is taken. */
  buffer_lend(session: number, buffer: Memory, bytes: number, id: number): number;
  monitor(socket: number, listen: number): number;
  monitor_next(socket: number): number;
  proxy_create(memoryMib: number): number;
  proxy_give(proxy: number, front: number, back: number, capture: number): number;
  proxy_socket(proxy: number, index: number): number;
  proxy_command(proxy: number, command: number): number;
  proxy_running(proxy: number): number;
  proxy_ask(proxy: number): number;
  proxy_answer(proxy: number, endpoint: number, count: number): number;
  /** 1: a peer waits, see `takeAuthentication`; it is told of once. */
  proxy_authentication(proxy: number): number;
  proxy_authenticated(proxy: number, session: number, request: number, verdict: number): number;
  proxy_destroy(proxy: number): number;
  probe_fill(record: number, target: Memory): number;
  probe_check(record: number, source: Memory): number;
  probe_signature(a: number, b: number, c: Memory, d: number): number;
}

interface Loaded {
  native: Native;
  contextRecord(bytes: number): ArrayBuffer;
  socketShared(socket: number, bytes: number): ArrayBuffer;
}

let loaded: Loaded | undefined;
let failure: Error | undefined;

/** Loads the library at first use; every later call throws the same error if that failed. */
export function load(): Loaded {
  if (loaded) return loaded;
  if (failure) throw failure;
  try {
    loaded = open();
    return loaded;
  } catch (error) {
    failure = error as Error;
    throw error;
  }
}

function open(): Loaded {
  const { path, tried } = findLibrary();
  if (path === undefined) throw notFound(tried);
  const symbols = openLibrary(path, tried);
  const call = symbols as unknown as Record<string, (...args: unknown[]) => unknown>;
  const native: Record<string, unknown> = {};
  for (const name of Object.keys(functions)) {
    native[name.slice("monocoque_".length)] = call[name];
  }
  return {
    native: native as unknown as Native,
    contextRecord: (bytes) => view(symbols.monocoque_context_record(), bytes),
    socketShared: (socket, bytes) => view(symbols.monocoque_socket_shared(socket), bytes),
  };
}

function notFound(tried: string[]): Error {
  return new Error(
    `monocoque: the native library was not found. Tried: ${tried.join(", ")}. ` +
      "In a checkout run `npm run build`; elsewhere reinstall the package.",
  );
}

function openLibrary(path: string, tried: string[]) {
  // The fingerprint alone first: the other functions may not even exist in a stale library.
  const { monocoque_fingerprint } = functions;
  let fingerprint: number;
  try {
    // Never closed: a call after that would be a segmentation fault.
    fingerprint = dlopen(path, { monocoque_fingerprint }).symbols.monocoque_fingerprint();
  } catch (cause) {
    if (!node.fs.existsSync(path)) throw notFound(tried);
    throw new Error(
      `monocoque: ${path} could not be loaded: ${reasonOf(cause)}. ` +
        "In a checkout run `npm run build`; elsewhere reinstall the package.",
      { cause },
    );
  }
  if (fingerprint !== FINGERPRINT) {
    throw new Error(
      `monocoque: ${path} was built from another version of zig/abi.zig than ` +
        `src/ffi/abi.generated.ts (${fingerprint} and ${FINGERPRINT}). Run \`npm run build\`, ` +
        "which writes both, or reinstall the package.",
    );
  }
  return dlopen(path, functions).symbols;
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Memory that belongs to the library, seen for as long as its owner lives. */
function view(pointer: unknown, bytes: number): ArrayBuffer {
  if (pointer === null) throw new Error("monocoque: the context of this thread is gone");
  return toArrayBuffer(pointer as Pointer, 0, bytes);
}
