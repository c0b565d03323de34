// Readers and writers of the records that are shared with Zig; every offset is generated.

import type { NetworkAddress } from "../endpoint.ts";
import type { ProxyRequest } from "../route.ts";
import {
  AddressRecord,
  AuthenticationRecord,
  ConnectRecord,
  ContextRecord,
  CursorRecord,
  ENTRY_CUT,
  ENTRY_MORE,
  EntryRecord,
  MonitorEventRecord,
  PeerRecord,
  PeerStatsRecord,
  ProxySideRecord,
  ProxyStatisticsRecord,
  QueuesRecord,
  RING_ENTRIES,
  SecurityRecord,
  SharedRecord,
  SocketRecord,
  TrafficRecord,
} from "./abi.generated.ts";

/** Where the parts of a socket's receive ring are in the memory shared with it, in 32-bit words. */
export const RING_MASK = RING_ENTRIES - 1;
export const ENTRIES = SharedRecord.entries.offset / 4;
export const ENTRY_WORDS = EntryRecord.bytes / 4;
export const LENGTH = EntryRecord.length.offset / 4;
export const PLACE = EntryRecord.place.offset / 4;
export const FLAGS = EntryRecord.flags.offset / 4;
export const SOURCE = EntryRecord.source.offset / 4;

interface Field {
  readonly offset: number;
  readonly bytes: number;
  readonly type: string;
}

/** linux/socket.h */
const families = { unix: 1, ipv4: 2, ipv6: 10 } as const;

export function writeAddress(record: DataView, index: number, address: NetworkAddress): void {
  writeAddressAt(record, ContextRecord.addresses.offset + index * AddressRecord.bytes, address);
}

function writeAddressAt(record: DataView, base: number, address: NetworkAddress): void {
  record.setUint32(base + AddressRecord.family.offset, families[address.family], true);
  record.setUint32(base + AddressRecord.port.offset, address.port, true);
  record.setUint32(base + AddressRecord.scope.offset, address.scope, true);
  record.setUint32(base + AddressRecord.data_bytes.offset, address.data.length, true);
  const room = new Uint8Array(
    record.buffer,
    record.byteOffset + base + AddressRecord.data.offset,
    AddressRecord.data.bytes,
  );
  room.set(address.data.subarray(0, room.length));
}

/** The local end of a connection; undefined: any. */
export function writeSource(record: DataView, source: NetworkAddress | undefined): void {
  const base = ContextRecord.connect.offset + ConnectRecord.source.offset;
  if (source === undefined) record.setUint32(base + AddressRecord.family.offset, 0, true);
  else writeAddressAt(record, base, source);
}

/** The name of the peer that a connect gives it; undefined: none. */
export function writeRoutingId(record: DataView, id: Uint8Array | undefined): void {
  const base = ContextRecord.connect.offset;
  const { routing_id, routing_id_bytes } = ConnectRecord;
  record.setUint32(base + routing_id_bytes.offset, id?.length ?? 0, true);
  const place = record.byteOffset + base + routing_id.offset;
  if (id) new Uint8Array(record.buffer, place, routing_id.bytes).set(id);
}

/** RFC 1928 §5. */
const targetKinds = { ipv4: 1, name: 3, ipv6: 4 } as const;

/** What a proxy is asked for; undefined: there is none. */
export function writeProxy(record: DataView, proxy: ProxyRequest | undefined): void {
  const base = ContextRecord.connect.offset;
  const word = (field: Field, value: number) => record.setUint32(base + field.offset, value, true);
  const text = (room: Field, size: Field, bytes: Uint8Array) => {
    new Uint8Array(record.buffer, record.byteOffset + base + room.offset, room.bytes).set(bytes);
    word(size, bytes.length);
  };
  const layout = ConnectRecord;
  word(layout.target_kind, proxy === undefined ? 0 : targetKinds[proxy.kind]);
  if (proxy === undefined) return;
  word(layout.target_port, proxy.port);
  text(layout.target, layout.target_bytes, proxy.address);
  text(layout.proxy_username, layout.proxy_username_bytes, proxy.username);
  text(layout.proxy_password, layout.proxy_password_bytes, proxy.password);
}

/** What a socket proves and demands; absent: empty. */
export interface NativeSecurity {
  /** A Mechanism. */
  mechanism: number;
  server: boolean;
  authenticate: boolean;
  username?: Uint8Array;
  password?: Uint8Array;
  secretKey?: Uint8Array;
  publicKey?: Uint8Array;
  serverKey?: Uint8Array;
}

/** For `socket_secure`, which wipes it. */
export function writeSecurity(record: DataView, security: NativeSecurity): void {
  const base = ContextRecord.security.offset;
  const layout = SecurityRecord;
  const word = (field: Field, value: number) => record.setUint32(base + field.offset, value, true);
  const put = (room: Field, bytes: Uint8Array = nothing) =>
    new Uint8Array(record.buffer, record.byteOffset + base + room.offset, room.bytes).set(bytes);
  word(layout.mechanism, security.mechanism);
  word(layout.server, Number(security.server));
  word(layout.authenticate, Number(security.authenticate));
  word(layout.username_bytes, security.username?.length ?? 0);
  word(layout.password_bytes, security.password?.length ?? 0);
  put(layout.username, security.username);
  put(layout.password, security.password);
  put(layout.secret_key, security.secretKey);
  put(layout.public_key, security.publicKey);
  put(layout.server_key, security.serverKey);
}

const nothing = new Uint8Array(0);

/** A peer that waits to be let in. */
export interface NativeAuthentication {
  session: number;
  request: number;
  /** Of a proxy: 0 front, 1 back, 2 capture. */
  socket: number;
  /** We have connected to it. */
  connecting: boolean;
  /** A Mechanism. */
  mechanism: number;
  endpoint: number;
  username: Buffer;
  password: Buffer;
  publicKey: Buffer;
  pid: number;
  uid: number;
  /** As an endpoint; empty: it has none. */
  remote: string;
}

/** What `authentication`, or `proxy_authentication`, leaves in the record: copied, and wiped there. */
export function takeAuthentication(record: DataView): NativeAuthentication {
  const base = ContextRecord.authentication.offset;
  const layout = AuthenticationRecord;
  const all = new Uint8Array(record.buffer, record.byteOffset + base, layout.bytes);
  const copy = Buffer.from(all);
  all.fill(0);
  const word = (field: Field) => copy.readUInt32LE(field.offset);
  const part = (room: Field, bytes: number) => copy.subarray(room.offset, room.offset + bytes);
  return {
    session: word(layout.session),
    request: word(layout.request),
    socket: word(layout.socket),
    connecting: word(layout.connecting) === 1,
    mechanism: word(layout.mechanism),
    endpoint: word(layout.endpoint),
    username: part(layout.username, word(layout.username_bytes)),
    password: part(layout.password, word(layout.password_bytes)),
    publicKey: part(layout.public_key, layout.public_key.bytes),
    pid: word(layout.process_id),
    uid: word(layout.user_id),
    remote: part(layout.text, word(layout.text_bytes)).toString(),
  };
}

/** One side of a proxy; the numbers only grow. */
export interface ProxyCounters {
  messagesIn: number;
  bytesIn: number;
  messagesOut: number;
  bytesOut: number;
}

/** What `proxy_running` leaves in the context's record. */
export function readProxyStatistics(record: DataView): {
  front: ProxyCounters;
  back: ProxyCounters;
} {
  const base = ContextRecord.proxy.offset;
  const side = (field: Field): ProxyCounters => {
    const counter = (it: Field) =>
      Number(record.getBigUint64(base + field.offset + it.offset, true));
    return {
      messagesIn: counter(ProxySideRecord.messages_in),
      bytesIn: counter(ProxySideRecord.bytes_in),
      messagesOut: counter(ProxySideRecord.messages_out),
      bytesOut: counter(ProxySideRecord.bytes_out),
    };
  };
  return { front: side(ProxyStatisticsRecord.front), back: side(ProxyStatisticsRecord.back) };
}

/** The text that bind leaves in the context's record. */
export function readText(record: DataView): string {
  const bytes = record.getUint32(ContextRecord.text_bytes.offset, true);
  return readString(record, ContextRecord.text.offset, bytes);
}

export function readResult(record: DataView): number {
  return record.getUint32(ContextRecord.result.offset, true);
}

/** The routing id that a connect leaves in the context's record; empty: none yet. */
export function readRoutingId(record: DataView): Buffer {
  const base = ContextRecord.connect.offset;
  const { routing_id, routing_id_bytes } = ConnectRecord;
  const bytes = record.getUint32(base + routing_id_bytes.offset, true);
  const place = record.byteOffset + base + routing_id.offset;
  return Buffer.from(new Uint8Array(record.buffer, place, bytes));
}

/** What `socket_peer` leaves in the context's record. */
export function readPeer(record: DataView): {
  connection: number;
  endpoint: number;
  connected: boolean;
  writable: boolean;
  socketType: number;
  address: string;
} {
  const base = ContextRecord.peer.offset;
  const word = (field: Field) => record.getUint32(base + field.offset, true);
  const text = base + PeerRecord.text.offset;
  return {
    connection: word(PeerRecord.connection),
    endpoint: word(PeerRecord.endpoint),
    connected: word(PeerRecord.connected) === 1,
    writable: word(PeerRecord.writable) === 1,
    socketType: record.getInt32(base + PeerRecord.socket_type.offset, true),
    address: readString(record, text, word(PeerRecord.text_bytes)),
  };
}

/** One of those that `socket_peers` leaves in the context's record. */
export interface NativePeer {
  connection: number;
  endpoint: number;
  connected: number;
  round_trip_us: number;
  send_messages: number;
  receive_messages: number;
  send_bytes: number;
  receive_bytes: number;
  messages_in: number;
  messages_out: number;
  bytes_in: number;
  bytes_out: number;
  connected_ms: number;
  number: number;
  socketType: number;
  routingId: Buffer;
  remote: string;
}

export function readPeers(record: DataView, count: number): NativePeer[] {
  const first = ContextRecord.peers.offset;
  const layout = PeerStatsRecord;
  const read = (_: unknown, index: number) => {
    const base = first + index * layout.bytes;
    const numbers = readCounters(record, layout, base);
    const id = record.byteOffset + base + layout.routing_id.offset;
    return {
      ...numbers,
      ...readCounters(record, TrafficRecord, base + layout.traffic.offset),
      socketType: record.getInt32(base + layout.socket_type.offset, true),
      routingId: Buffer.from(new Uint8Array(record.buffer, id, numbers.routing_id_bytes)),
      remote: readString(record, base + layout.text.offset, numbers.text_bytes!),
    };
  };
  return Array.from({ length: count }, read) as unknown[] as NativePeer[];
}

/** What `socket_queues` leaves in the context's record. */
export function readQueues(record: DataView): Record<string, number> {
  return readCounters(record, QueuesRecord, ContextRecord.queues.offset);
}

/** Of the memory that is shared with a socket: a word of each part that can be taken without a call. */
function inRing(shared: DataView, word: number): number[] {
  const cursor = SharedRecord.record.offset + SocketRecord.cursor.offset;
  const taken = shared.getUint32(cursor + CursorRecord.taken.offset, true);
  const filled = shared.getUint32(cursor + CursorRecord.filled.offset, true);
  const found: number[] = [];
  for (let position = taken; position !== filled; position = (position + 1) >>> 0) {
    const entry = (position & RING_MASK) * ENTRY_WORDS + ENTRIES;
    found.push(shared.getUint32((entry + word) * 4, true));
  }
  return found;
}

/** Messages that can be taken without a call. */
export function messagesInRing(shared: DataView): number {
  return inRing(shared, FLAGS).filter((flags) => (flags & (ENTRY_MORE | ENTRY_CUT)) === 0).length;
}

/** The connections that they came on. */
export function sourcesInRing(shared: DataView): Set<number> {
  return new Set(inRing(shared, SOURCE));
}

/** Of the memory that is shared with a socket: events that its observer has not taken. */
export function eventsWaiting(shared: DataView): number {
  return shared.getUint32(SharedRecord.record.offset + SocketRecord.events_waiting.offset, true);
}

const DROPPED_EVENTS = SharedRecord.record.offset + SocketRecord.dropped_events.offset;

/** Events that nobody had read in time. */
export function droppedEvents(shared: DataView): number {
  return Number(shared.getBigUint64(DROPPED_EVENTS, true));
}

export function countDroppedEvent(shared: DataView): void {
  shared.setBigUint64(DROPPED_EVENTS, shared.getBigUint64(DROPPED_EVENTS, true) + 1n, true);
}

export interface MonitorEvent {
  type: number;
  reason: number;
  endpoint: number;
  connection: number;
  value: number;
  missed: number;
  timeUs: number;
  pid: number;
  uid: number;
  local: string;
  remote: string;
}

export function readMonitorEvent(record: DataView): MonitorEvent {
  const base = ContextRecord.monitor_event.offset;
  const word = (field: Field) => record.getUint32(base + field.offset, true);
  const text = (field: Field, bytes: Field) =>
    readString(record, base + field.offset, word(bytes));
  return {
    type: word(MonitorEventRecord.type),
    reason: word(MonitorEventRecord.reason),
    endpoint: word(MonitorEventRecord.endpoint),
    connection: word(MonitorEventRecord.connection),
    value: word(MonitorEventRecord.value),
    missed: word(MonitorEventRecord.missed),
    timeUs: Number(record.getBigUint64(base + MonitorEventRecord.time_us.offset, true)),
    pid: word(MonitorEventRecord.process_id),
    uid: word(MonitorEventRecord.user_id),
    local: text(MonitorEventRecord.local, MonitorEventRecord.local_bytes),
    remote: text(MonitorEventRecord.remote, MonitorEventRecord.remote_bytes),
  };
}

function readString(record: DataView, offset: number, bytes: number): string {
  return Buffer.from(record.buffer, record.byteOffset + offset, bytes).toString();
}

/** All numbers of a record. Counters stay exact up to 2^53. */
export function readCounters(
  record: DataView,
  layout: Record<string, Field | number>,
  base = 0,
): Record<string, number> {
  const counters: Record<string, number> = {};
  for (const [name, field] of Object.entries(layout)) {
    if (typeof field === "number") continue;
    const at = base + field.offset;
    if (field.type === "u64") counters[name] = Number(record.getBigUint64(at, true));
    else if (field.type === "u32") counters[name] = record.getUint32(at, true);
  }
  return counters;
}
