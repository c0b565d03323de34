// How a connection is made: straight or through a proxy, from any address or a given one.

import {
  type AddressOptions,
  type Endpoint,
  isIPv4,
  isIPv6,
  literalAddress,
  type NetworkAddress,
  resolveAddresses,
  sourceAddress,
} from "./endpoint.ts";
import { zmqError } from "./errors.ts";

/** The options of a socket that count here. */
export interface RouteOptions extends AddressOptions {
  socksProxy: string | null;
  socksUsername: string | null;
  socksPassword: string | null;
}

/** What a SOCKS5 proxy is asked for. RFC 1928 §5, RFC 1929 §2. */
export interface ProxyRequest {
  kind: "ipv4" | "name" | "ipv6";
  /** Octets, or the name: it is the proxy that looks it up. */
  address: Uint8Array;
  port: number;
  username: Uint8Array;
  password: Uint8Array;
}

/** Decided by connect, and kept for all its attempts. */
export interface Route {
  /** Whom the connection itself goes to: the endpoint, or the proxy. */
  hop: Endpoint;
  ipv6: boolean;
  proxy: ProxyRequest | undefined;
}

/** The two ends of an attempt. */
export interface Ends {
  /** In the order in which to try them. */
  addresses: NetworkAddress[];
  /** The local end; undefined: any. */
  source: NetworkAddress | undefined;
}

export const nowhere: Ends = { addresses: [], source: undefined };

/**
 * The way to an endpoint. Throws what {@link literalAddress} throws, ENODEV for a source that is
 * neither an address nor an interface, EINVAL for one of another family than its target.
 */
export function routeTo(endpoint: Endpoint, options: RouteOptions): Route {
  const { ipv6, socksProxy } = options;
  sourceAddress(endpoint, options);
  if (endpoint.transport !== "tcp" || socksProxy === null) {
    return { hop: endpoint, ipv6, proxy: undefined };
  }
  const [, host = "", port] = /^(.*):(\d+)$/.exec(socksProxy) ?? [];
  const hop = { ...endpoint, host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
  return { hop, ipv6, proxy: proxyRequest(endpoint, options) };
}

function proxyRequest(endpoint: Endpoint & { transport: "tcp" }, options: RouteOptions) {
  const { host, port, text } = endpoint;
  const literal = literalAddress(endpoint, options);
  if (literal !== undefined && literal.scope !== 0) {
    const advice = "An address with a %zone means nothing to a proxy: leave out the zone.";
    throw zmqError("EINVAL", { endpoint: text, advice });
  }
  const encoder = new TextEncoder();
  const kind = literal === undefined ? "name" : literal.family;
  return {
    kind: kind as ProxyRequest["kind"],
    address: literal === undefined ? encoder.encode(host) : literal.data,
    port,
    username: encoder.encode(options.socksUsername ?? ""),
    password: encoder.encode(options.socksPassword ?? ""),
  };
}

/** The ends, if nothing has to be looked up. An interface may have another address next time. */
export function endsNow(route: Route): Ends | undefined {
  const { hop } = route;
  const source = hop.transport === "tcp" ? hop.source?.host : undefined;
  const fixed = source === undefined || source === "*" || isIPv4(source) || isIPv6(source);
  const literal = literalAddress(hop, route);
  return literal && fixed ? endsOf(route, [literal]) : undefined;
}

/** The ends of an attempt that begins now. */
export async function lookUpEnds(route: Route): Promise<Ends> {
  return endsOf(route, await resolveAddresses(route.hop, route));
}

/** The source has to be of its target's family: of several, the first that has one. */
function endsOf(route: Route, addresses: NetworkAddress[]): Ends {
  const { hop } = route;
  if (hop.transport !== "tcp" || hop.source === undefined) return { addresses, source: undefined };
  for (const { family } of addresses) {
    const source = sourceAddress(hop, route, family);
    if (source?.family !== family) continue;
    const any = source.port === 0 && source.data.every((octet) => octet === 0);
    const reached = addresses.filter((address) => address.family === family);
    return { addresses: reached, source: any ? undefined : source };
  }
  const advice = "The source and the target of a connection are both IPv4 or both IPv6.";
  throw zmqError("EINVAL", { endpoint: hop.text, advice });
}
