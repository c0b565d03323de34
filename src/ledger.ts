// All sockets of this thread, for those who ask for the numbers of all: the open ones, those that
// linger, and what those leave behind that have ended.

import type { PeerStats, SocketStats } from "./socket_stats.ts";

/** Whose numbers are kept. */
export interface Account {
  readonly typeName: string;
  readonly bound: readonly { boundText: string }[];
  readonly connected: readonly { endpoint: { text: string } }[];
  stats(): SocketStats;
  peers(): PeerStats[];
}

/** What of {@link SocketStats} only grows. */
export type Counters = Omit<SocketStats, "connections" | "topics">;

/**
 * Sockets of one type, name and endpoint. They are told of as one, so that what is told never falls
 * when a socket ends or another one takes its place.
 */
export interface Series {
  readonly type: string;
  readonly name: string;
  readonly endpoint: string;
  /** Those that have not ended. */
  readonly open: Set<Account>;
  /** The sum of those that have. */
  readonly past: Counters;
}

/** Endpoints of one type and name that are told apart; those that come later are one. */
const ENDPOINTS_MAX = 100;
const OTHERS = "other";

export class Ledger {
  /** Sockets that have not ended. */
  readonly #accounts = new Map<Account, { name: string; series: Series | undefined }>();
  readonly #series = new Map<string, Series>();
  readonly #endpoints = new Map<string, number>();

  open(account: Account): void {
    this.#accounts.set(account, { name: "", series: undefined });
  }

  /** False: too late, it has been told of under another name. */
  name(account: Account, name: string): boolean {
    const entry = this.#accounts.get(account);
    if (entry === undefined || (entry.series && entry.name !== name)) return false;
    entry.name = name;
    return true;
  }

  /** It has ended: its numbers will not change any more. */
  settle(account: Account): void {
    if (!this.#accounts.has(account)) return;
    const series = this.#join(account, firstEndpoint(account) ?? "");
    this.#accounts.delete(account);
    series.open.delete(account);
    addCounters(series.past, account.stats());
  }

  /** Those that have not ended. */
  accounts(): Iterable<Account> {
    return this.#accounts.keys();
  }

  /** All there is to tell; a socket without an endpoint has nothing to tell yet. */
  series(): Iterable<Series> {
    for (const account of this.#accounts.keys()) {
      const endpoint = firstEndpoint(account);
      if (endpoint !== undefined) this.#join(account, endpoint);
    }
    return this.#series.values();
  }

  /** Once and for all: a number that moved from one series to another would fall in the first. */
  #join(account: Account, endpoint: string): Series {
    const entry = this.#accounts.get(account)!;
    entry.series ??= this.#find(account.typeName, entry.name, endpoint);
    entry.series.open.add(account);
    return entry.series;
  }

  #find(type: string, name: string, endpoint: string): Series {
    const key = JSON.stringify([type, name, endpoint]);
    const known = this.#series.get(key);
    if (known) return known;
    const group = JSON.stringify([type, name]);
    const count = this.#endpoints.get(group) ?? 0;
    if (count >= ENDPOINTS_MAX && endpoint !== OTHERS) return this.#find(type, name, OTHERS);
    this.#endpoints.set(group, count + 1);
    const past = { handshakeFailures: {} } as Counters;
    const series = { type, name, endpoint, open: new Set<Account>(), past };
    this.#series.set(key, series);
    return series;
  }
}

/** What it was bound or connected to first; undefined: nothing yet. */
function firstEndpoint({ bound, connected }: Account): string | undefined {
  return bound[0]?.boundText ?? connected[0]?.endpoint.text;
}

/** Adds what only grows. */
export function addCounters(sum: Counters, stats: Counters): void {
  const to = sum as unknown as Record<string, number>;
  for (const [name, value] of Object.entries(stats)) {
    if (name === "connections" || name === "topics") continue;
    if (typeof value === "number") to[name] = (to[name] ?? 0) + value;
  }
  const failures = sum.handshakeFailures;
  for (const [reason, count] of Object.entries(stats.handshakeFailures)) {
    failures[reason] = (failures[reason] ?? 0) + count;
  }
}

const slot = Symbol.for(`monocoque.ledger:${import.meta.path}`);
const holder = globalThis as unknown as Record<symbol, Ledger | undefined>;

/** This thread's; `bun --hot` goes on with it. */
export const ledger: Ledger = (holder[slot] ??= new Ledger());
