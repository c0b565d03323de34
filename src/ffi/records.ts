// Readers and writers of the records that are shared with Zig; every offset is generated.

import type { NetworkAddress } from "../endpoint.ts";
import { AddressRecord, ContextRecord, MonitorEventRecord } from "./abi.generated.ts";

interface Field {
  readonly offset: number;
  readonly bytes: number;
  readonly type: string;
}

/** linux/socket.h */
const families = { unix: 1, ipv4: 2, ipv6: 10 } as const;

export function writeAddress(record: DataView, index: number, address: NetworkAddress): void {
  const base = ContextRecord.addresses.offset + index * AddressRecord.bytes;
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

/** The text that bind leaves in the context's record. */
export function readText(record: DataView): string {
  const bytes = record.getUint32(ContextRecord.text_bytes.offset, true);
  return readString(record, ContextRecord.text.offset, bytes);
}

export function readResult(record: DataView): number {
  return record.getUint32(ContextRecord.result.offset, true);
}

export interface MonitorEvent {
  type: number;
  reason: number;
  endpoint: number;
  connection: number;
  value: number;
  peer: string;
}

export function readMonitorEvent(record: DataView): MonitorEvent {
  const base = ContextRecord.monitor_event.offset;
  const word = (field: Field) => record.getUint32(base + field.offset, true);
  return {
    type: word(MonitorEventRecord.type),
    reason: word(MonitorEventRecord.reason),
    endpoint: word(MonitorEventRecord.endpoint),
    connection: word(MonitorEventRecord.connection),
    value: word(MonitorEventRecord.value),
    peer: readString(
      record,
      base + MonitorEventRecord.peer.offset,
      word(MonitorEventRecord.peer_bytes),
    ),
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
