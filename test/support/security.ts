// Links with security for tests: who has which keys, and what became of a handshake.

import {

  curveKeyPair,
  Dealer,
  type DealerOptions,
  type Event,
  Router,
  type RouterOptions,
  type Socket,
} from "../../src/index.ts";
import { bound, type Transport, until } from "./sockets.ts";

export const server = curveKeyPair();
export const client = curveKeyPair();
export const stranger = curveKeyPair();

/** Both sides of CURVE. */
export const curveServer = { curveServer: true, curveSecretKey: server.secretKey } as const;
export const curveClient = {
  curveServerKey: server.publicKey,
  curvePublicKey: client.publicKey,
  curveSecretKey: client.secretKey,
} as const;

export type Recorded = Event[] & { of(type: Event["type"]): Event[] };

const told = [
  "accept", "handshake", "disconnect", "connect:retry", "connect:stop", "handshake:error:auth",
  "handshake:error:protocol", "handshake:error:other",
] as const;

/** The events of a socket, as they come. */
export function record(socket: Socket): Recorded {
  const events = Object.assign([] as Event[], {
    of: (type: Event["type"]) => events.filter((event) => event.type === type),
  }) as Recorded;
  for (const type of told) socket.events.on(type, (event) => events.push(event as Event));
  return events;
}

/** How a handshake ended, in one word. */
export async function outcome(events: Recorded): Promise<string> {
  const ends = (): Event | undefined =>
    events.find(({ type }) => type === "handshake" || type.startsWith("handshake:error"));
  await until("the end of a handshake", () => ends() !== undefined);
  const { type, reason } = ends()!;
  return reason ?? type;
}

export interface Pair {
  router: Router;
  dealer: Dealer;
  routerEvents: Recorded;
  dealerEvents: Recorded;
}

/** A Router that is bound and a Dealer that connects to it. */
export function pair(
  keep: <S extends Socket>(socket: S) => S,
  ours: RouterOptions,
  theirs: DealerOptions,
  transport: Transport = "tcp",
): Pair {
  const router = keep(new Router({ linger: 0, ...ours }));
  const routerEvents = record(router);
  const endpoint = bound(router, transport);
  const dealer = keep(new Dealer({ linger: 0, reconnectInterval: 20, ...theirs }));
  const dealerEvents = record(dealer);
  dealer.connect(endpoint);
  return { router, dealer, routerEvents, dealerEvents };
}

/** Warnings of the process while `work` runs, and until they have been told. */
export async function warningsOf(work: () => unknown): Promise<string[]> {
  const warnings: string[] = [];
  const hear = ({ code, message }: Error & { code?: string }) => void warnings.push(`${code}: ${message}`);
  process.on("warning", hear);
  try {
    await work();
    // They are told in a turn of their own.
    await new Promise((resolve) => setTimeout(resolve, 5));
  } finally {
    process.off("warning", hear);
  }
  return warnings;
}

