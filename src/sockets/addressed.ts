// Peers that go by a routing id: who has one at the moment.

import { errnoError } from "../errors.ts";
import { Status } from "../ffi/abi.generated.ts";
import { readPeer } from "../ffi/records.ts";
import type { SocketCore } from "../socket_core.ts";
import { typeNumbers } from "../type_numbers.ts";

/** What is known of a peer that goes by a routing id. */
export interface PeerInfo {
  routingId: Buffer;
  /** Its address, such as `tcp://10.0.0.7:41234`. */
  address: string;
  /** Its connection, as events name it. */
  connection: number;
  /** The endpoint of ours that it came to, or that we connect to. */
  endpoint: string;
  /** The class that it is an instance of, such as "Dealer"; null where it has not told. */
  socketType: string | null;
  /** False while a connection that we make is being made, or made again. */
  connected: boolean;
  /** Whether a message for it would be queued; false while its queue is full. */
  writable: boolean;
}

const typeNames = new Map<number, string>(
  Object.entries(typeNumbers).map(([name, number]) => [number, name]),
);

export function peerOf(core: SocketCore, routingId: string | Uint8Array): PeerInfo | undefined {
  core.check();
  if (typeof routingId !== "string" && !(routingId instanceof Uint8Array)) {
    throw new TypeError(`A routing id is a string or a Uint8Array, not ${typeof routingId}`);
  }
  const id = Buffer.from(routingId as Uint8Array);
  const { native, record } = core.context;
  const status = native.socket_peer(core.handle, id, id.length);
  if (status === Status.EHOSTUNREACH) return undefined;
  if (status < 0) throw errnoError(status);
  const { socketType, endpoint, ...peer } = readPeer(record);
  return {
    routingId: id,
    ...peer,
    endpoint: core.endpoints.textOf(endpoint),
    socketType: typeNames.get(socketType) ?? null,
  };
}
