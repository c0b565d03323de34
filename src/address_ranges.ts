// Ranges of IP addresses: "10.0.0.0/8", "::1", and "ipc" for peers over ipc, which have none.

import { addressOctets } from "./endpoint.ts";
import { zmqError } from "./errors.ts";

interface Range {
  octets: Uint8Array;
  bits: number;
}

/** 12 octets in front of an IPv4 address in an IPv6 one (RFC 4291 §2.5.5.2). */
const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

export class AddressRanges {
  readonly #ranges: Range[] = [];
  #ipc = false;

  /** Throws EINVAL for what is no range. */
  constructor(texts: Iterable<string>, label: string) {
    for (const text of texts) {
      if (text === "ipc") this.#ipc = true;
      else this.#ranges.push(parse(text, label));
    }
  }

  /** An IP address, or "ipc". */
  has(address: string): boolean {
    if (address === "ipc") return this.#ipc;
    const octets = octetsOf(address.replace(/%.*$/, ""));
    return octets !== undefined && this.#ranges.some((range) => contains(range, octets));
  }
}

function parse(text: unknown, label: string): Range {
  const [, literal = "", size] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(String(text)) ?? [];
  const octets = octetsOf(literal);
  const all = octets === undefined ? 0 : octets.length * 8;
  const bits = size === undefined ? all : Number(size) - (written(literal) - all);
  if (octets !== undefined && bits >= 0 && bits <= all) return { octets, bits };
  const what = `such as "10.0.0.0/8", "2001:db8::/32" or "::1", or "ipc"`;
  throw zmqError("EINVAL", { advice: `${label} has addresses ${what}, not ${JSON.stringify(text)}.` });
}

/** Bits of the address as it is written: one of IPv4 may be written as one of IPv6. */
function written(literal: string): number {
  return literal.includes(":") ? 128 : 32;
}

/** An IPv4 address in an IPv6 one is that IPv4 address: a listener with `ipv6` sees them so. */
function octetsOf(literal: string): Uint8Array | undefined {
  const octets = addressOctets(literal);
  if (octets?.length !== 16 || !mapped.every((octet, index) => octets[index] === octet)) return octets;
  return octets.subarray(12);
}

function contains({ octets, bits }: Range, address: Uint8Array): boolean {
  if (address.length !== octets.length) return false;
  const whole = bits >> 3;
  for (let i = 0; i < whole; i += 1) if (address[i] !== octets[i]) return false;
  const mask = 0xff00 >> (bits & 7);
  return ((address[whole] ?? 0) & mask & 0xff) === ((octets[whole] ?? 0) & mask & 0xff);
}
