// Endpoint strings: what a user writes, taken apart, checked, and turned into network addresses.
// Names are looked up by Bun; everything else is decided here, so that a wrong endpoint is an error
// at once and not a connection that is retried for ever.

import type { NetworkInterfaceInfo } from "node:os";
import { zmqError } from "./errors.ts";
import type { ErrorCode } from "./errors.ts";
import { node } from "./node.ts";

/** sun_path has 108 bytes, one of them the NUL: unix(7). */
const UNIX_NAME_BYTES_MAX = 107;
const INPROC_NAME_BYTES_MAX = 256;
/** RFC 1035 §2.3.4. */
const HOST_NAME_BYTES_MAX = 253;

export type Purpose = "bind" | "connect";

/** `tcp://host:port` */
export interface TcpEndpoint {
  transport: "tcp";
  purpose: Purpose;
  /** As it was written. */
  text: string;
  /** Literal without brackets (IPv6 with its %zone) or name; on bind also an interface or "*". */
  host: string;
  /** 1 to 65535; 0 on bind: any free port. */
  port: number;
  /** The local end of a connection, from `tcp://source:port;host:port`; port 0: any. */
  source?: { host: string; port: number };
}

/** `ipc://path`, `ipc://@abstract` or `ipc://*` */
export interface IpcEndpoint {
  transport: "ipc";
  purpose: Purpose;
  text: string;
  form: "path" | "abstract" | "wildcard";
  /** The path or the abstract name (without the "@"); empty for the wildcard. */
  name: string;
}

/** `inproc://name` */
export interface InprocEndpoint {
  transport: "inproc";
  purpose: Purpose;
  text: string;
  name: string;
}

export type Endpoint = TcpEndpoint | IpcEndpoint | InprocEndpoint;

/** What the kernel needs to know, without any text. */
export interface NetworkAddress {
  family: "ipv4" | "ipv6" | "unix";
  /** 0 for unix addresses and for "any free port". */
  port: number;
  /** Index of the interface that a link-local IPv6 address belongs to; otherwise 0. */
  scope: number;
  /** 4 or 16 octets; the bytes of a path; of an abstract name with a 0 before it. */
  data: Uint8Array;
}

/** The part of a socket's options that decides which addresses are used. */
export interface AddressOptions {
  ipv6: boolean;
}

// ---- Text -------------------------------------------------------------------------------------

/**
 * Takes an endpoint string apart. Throws TypeError when it is not a string, otherwise ZmqError:
 * EINVAL, EPROTONOSUPPORT (unknown transport), ENAMETOOLONG (a path over 107 bytes).
 *
 * ```ts
 * parseEndpoint("tcp://[::1]:5555", "connect"); // { transport: "tcp", host: "::1", port: 5555 … }
 * ```
 */
export function parseEndpoint(text: string, purpose: Purpose): Endpoint {
  checkText(text);
  const colon = text.indexOf("://");
  if (colon < 0) {
    throw invalid(text, "Write it as transport://address, such as tcp://127.0.0.1:5555.");
  }
  const transport = text.slice(0, colon);
  const rest = text.slice(colon + 3);
  if (rest === "") throw invalid(text, "Nothing follows the transport.");
  if (rest.includes("\0")) throw invalid(text, "It must not contain a NUL character.");
  if (transport === "tcp") return parseTcp(text, rest, purpose);
  if (transport === "ipc") return parseIpc(text, rest, purpose);
  if (transport === "inproc") return parseInproc(text, rest, purpose);
  const lower = transport.toLowerCase();
  const advice = ["tcp", "ipc", "inproc"].includes(lower)
    ? `Write the transport in lower case: ${lower}://${rest}`
    : lower === "udp"
      ? "udp:// comes in a later version: Radio and Dish speak tcp://, ipc:// and inproc://."
      : "The transports are tcp://, ipc:// and inproc://.";
  throw zmqError("EPROTONOSUPPORT", { endpoint: text, advice });
}

function checkText(text: unknown): void {
  if (typeof text === "string") return;
  throw new TypeError(`An endpoint is a string such as tcp://127.0.0.1:5555, not ${typeof text}`);
}

function invalid(endpoint: string, advice: string) {
  return zmqError("EINVAL", { endpoint, advice });
}

function parseTcp(text: string, rest: string, purpose: Purpose): TcpEndpoint {
  const semicolon = rest.indexOf(";");
  if (semicolon >= 0 && purpose === "bind") {
    throw invalid(text, "A source address (before the semicolon) is for connect only.");
  }
  const target = splitHostPort(text, rest.slice(semicolon + 1), purpose === "bind");
  const endpoint: TcpEndpoint = { transport: "tcp", purpose, text, ...target };
  if (semicolon < 0) return endpoint;
  const source = rest.slice(0, semicolon);
  const hasPort = /:(\d+|\*)$/.test(source) && !source.endsWith("::");
  endpoint.source = splitHostPort(text, hasPort ? source : `${source}:0`, true);
  return endpoint;
}

/** `local`: an address of this machine, so "*" may stand for the host and the port. */
function splitHostPort(text: string, part: string, local: boolean) {
  const colon = part.lastIndexOf(":");
  if (colon < 0 || part.endsWith("]")) {
    const example = local ? "tcp://127.0.0.1:5555 or tcp://127.0.0.1:*" : "tcp://127.0.0.1:5555";
    throw invalid(text, `The port is missing: write ${example}.`);
  }
  const port = parsePort(text, part.slice(colon + 1), local);
  const host = parseHost(text, part.slice(0, colon));
  if (host !== "*" || local) return { host, port };
  throw invalid(text, `Name a host, such as tcp://127.0.0.1:${port}: "*" is for bind.`);
}

function parsePort(text: string, port: string, local: boolean): number {
  if (local && port === "*") return 0;
  const number = /^\d{1,5}$/.test(port) ? Number(port) : -1;
  if (number >= (local ? 0 : 1) && number <= 65535) return number;
  const range = local ? "1 to 65535, or * for any free one" : "1 to 65535";
  const hint = port.includes("/") ? " Nothing follows the port, not even a slash." : "";
  throw invalid(text, `The port must be ${range}, not ${JSON.stringify(port)}.${hint}`);
}

function parseHost(text: string, host: string): string {
  if (host === "*") return host;
  if (host.startsWith("[") && host.endsWith("]")) {
    const literal = host.slice(1, -1);
    if (isIPv6(literal)) return literal;
    throw invalid(text, `${JSON.stringify(literal)} is not an IPv6 address.`);
  }
  if (host.includes(":")) {
    throw invalid(text, "An IPv6 address needs brackets: tcp://[::1]:5555.");
  }
  if (host === "") throw invalid(text, "The host is missing: write tcp://127.0.0.1:5555.");
  if (isIPv4(host)) return host;
  // getaddrinfo reads "127.1" and "0x7f.1" as addresses: nobody means that.
  if (/^[\d.]+$/.test(host)) throw invalid(text, `${host} is not an IPv4 address.`);
  if (/[\s/\\@?#%*,"'<>()[\]\p{Cc}]/u.test(host) || Buffer.byteLength(host) > HOST_NAME_BYTES_MAX) {
    throw invalid(text, `${JSON.stringify(host)} is not the name of a host.`);
  }
  return host;
}

function parseIpc(text: string, rest: string, purpose: Purpose): IpcEndpoint {
  if (rest === "*") {
    if (purpose === "bind") return { transport: "ipc", purpose, text, form: "wildcard", name: "" };
    throw invalid(text, '"*" is for bind: connect to the lastEndpoint of the bound socket.');
  }
  const abstract = rest.startsWith("@");
  const name = abstract ? rest.slice(1) : rest;
  if (name === "") throw invalid(text, "A name must follow the @, such as ipc://@jobs.");
  checkUnixName(text, name);
  return { transport: "ipc", purpose, text, form: abstract ? "abstract" : "path", name };
}

function checkUnixName(text: string, name: string): void {
  const bytes = Buffer.byteLength(name);
  if (bytes <= UNIX_NAME_BYTES_MAX) return;
  const limit = `an ipc path or name has at most ${UNIX_NAME_BYTES_MAX} bytes in UTF-8`;
  const advice = `It has ${bytes} bytes, but ${limit}. Use a shorter one, or ipc://@name.`;
  throw zmqError("ENAMETOOLONG", { endpoint: text, advice });
}

function parseInproc(text: string, name: string, purpose: Purpose): InprocEndpoint {
  if (Buffer.byteLength(name) > INPROC_NAME_BYTES_MAX) {
    const advice = `An inproc name has at most ${INPROC_NAME_BYTES_MAX} bytes.`;
    throw zmqError("ENAMETOOLONG", { endpoint: text, advice });
  }
  return { transport: "inproc", purpose, text, name };
}

// ---- Addresses --------------------------------------------------------------------------------

/**
 * The address of an endpoint that can be told without looking a name up: literals and ipc names,
 * and for bind also "*" and the names of interfaces. Otherwise undefined, also for `ipc://*`.
 * Throws EAFNOSUPPORT for an IPv6 literal without the option, ENODEV for an unknown %zone, EINVAL for
 * inproc, which has names instead.
 */
export function literalAddress(
  endpoint: Endpoint,
  options: AddressOptions,
): NetworkAddress | undefined {
  if (endpoint.transport === "inproc") throw invalid(endpoint.text, "inproc has no addresses.");
  if (endpoint.transport === "ipc") {
    return endpoint.form === "wildcard" ? undefined : unixAddress(endpoint);
  }
  const { host, port, text } = endpoint;
  const literal = ipAddress(text, host, port, options);
  if (literal !== undefined || endpoint.purpose === "connect") return literal;
  return localAddress(host, port, options);
}

/**
 * Every address of an endpoint to connect to, in the order in which to try them. Rejects like
 * {@link literalAddress}, and with EHOSTUNREACH when the name has no address (`cause`: why). IPv6
 * addresses are only looked up with the option; IPv4 ones are never v4-mapped.
 */
export async function resolveAddresses(
  endpoint: Endpoint,
  options: AddressOptions,
): Promise<NetworkAddress[]> {
  const literal = literalAddress(endpoint, options);
  if (literal !== undefined) return [literal];
  if (endpoint.transport !== "tcp") throw invalid(endpoint.text, "It is for bind only.");
  return lookUp(endpoint, options, "EHOSTUNREACH", "Check the name, and the DNS of this machine.");
}

/**
 * The addresses a bind can use, the first being the best. "*" is 0.0.0.0, with the option ipv6 [::]
 * (which serves both families); an interface is its first address of that family; `ipc://*` is a
 * fresh path in $TMPDIR, to be given to {@link removeFreshPath} in the end. Rejects like
 * {@link literalAddress}, and with ENODEV when the name is neither an interface nor a host.
 */
export async function bindAddresses(
  endpoint: Endpoint,
  options: AddressOptions,
): Promise<NetworkAddress[]> {
  const address = bindAddressNow(endpoint, options);
  if (address !== undefined) return [address];
  const advice = "It is neither an interface of this machine (ip address) nor a host name.";
  return lookUp(endpoint as TcpEndpoint, options, "ENODEV", advice);
}

/** {@link bindAddresses} without waiting: undefined when a host name has to be looked up. */
export function bindAddressNow(
  endpoint: Endpoint,
  options: AddressOptions,
): NetworkAddress | undefined {
  if (endpoint.transport !== "ipc" || endpoint.form !== "wildcard") {
    return literalAddress(endpoint, options);
  }
  const name = freshPath(endpoint.text);
  try {
    return unixAddress({ text: endpoint.text, form: "path", name });
  } catch (error) {
    removeFreshPath(name);
    throw error;
  }
}

/**
 * The local address a connection is to come from, if the endpoint names one: a literal, "*" or an
 * interface, where there is a choice of that family. Throws ENODEV for anything else.
 */
export function sourceAddress(
  endpoint: Endpoint,
  options: AddressOptions,
  family?: NetworkAddress["family"],
): NetworkAddress | undefined {
  if (endpoint.transport !== "tcp" || endpoint.source === undefined) return undefined;
  const { host, port } = endpoint.source;
  const ipv6 = family === undefined ? options.ipv6 : family === "ipv6";
  const address =
    ipAddress(endpoint.text, host, port, options) ?? localAddress(host, port, { ipv6 });
  if (address !== undefined) return address;
  const advice = `The source ${host} must be an address or an interface of this machine.`;
  throw zmqError("ENODEV", { endpoint: endpoint.text, advice });
}

/**
 * Tells whether another text means the same endpoint: it is the same, or another way to write that
 * address (`[::1]` and `[0:0:0:0:0:0:0:1]`, an interface and its address). Wildcards mean nothing,
 * and host names only themselves: {@link numericEndpoints} looks them up.
 */
export function sameAddress(
  text: string,
  purpose: Purpose,
  options: AddressOptions,
): (other: string) => boolean {
  const wanted = addressKey(text, purpose, options);
  return (other) =>
    other === text || (wanted !== undefined && addressKey(other, purpose, options) === wanted);
}

/** What a host name stands for: its endpoints with addresses in its place. None for others. */
export async function numericEndpoints(text: string): Promise<string[]> {
  if (!text.startsWith("tcp://") || /[*;]/.test(text)) return [];
  const { host, port } = parseEndpoint(text, "bind") as TcpEndpoint;
  if (isIPv4(host) || isIPv6(host)) return [];
  const found = await Bun.dns.lookup(host, {}).catch(() => []);
  return found.map(({ address }) =>
    isIPv6(address) ? `tcp://[${address}]:${port}` : `tcp://${address}:${port}`,
  );
}

/** What all ways to write an address have in common; undefined for what is none. */
export function addressKey(
  text: string,
  purpose: Purpose,
  options: AddressOptions,
): string | undefined {
  checkText(text);
  if (!text.startsWith("tcp://") || /[*;]/.test(text)) return undefined;
  try {
    const address = literalAddress(parseEndpoint(text, purpose), options);
    return address && `${address.port} ${address.scope} ${address.data.join(".")}`;
  } catch {
    // No endpoint, so nobody's.
    return undefined;
  }
}

function unixAddress(endpoint: Pick<IpcEndpoint, "text" | "form" | "name">): NetworkAddress {
  checkUnixName(endpoint.text, endpoint.name);
  const name = endpoint.form === "abstract" ? `\0${endpoint.name}` : endpoint.name;
  return { family: "unix", port: 0, scope: 0, data: new TextEncoder().encode(name) };
}

function ipAddress(
  text: string,
  host: string,
  port: number,
  { ipv6 }: AddressOptions,
): NetworkAddress | undefined {
  if (isIPv4(host)) return { family: "ipv4", port, scope: 0, data: octets4(host) };
  if (!isIPv6(host)) return undefined;
  // Without the option libzmq fails too, but in the background and for ever.
  if (!ipv6) throw zmqError("EAFNOSUPPORT", { endpoint: text });
  const [literal = "", zone] = host.split("%");
  const scope = zone === undefined ? 0 : scopeOf(zone);
  if (scope !== undefined) return { family: "ipv6", port, scope, data: octets16(literal) };
  const advice = `There is no interface ${zone} on this machine (ip link).`;
  throw zmqError("ENODEV", { endpoint: text, advice });
}

/** "*" or the name of an interface. */
function localAddress(
  host: string,
  port: number,
  { ipv6 }: AddressOptions,
): NetworkAddress | undefined {
  if (host === "*") {
    // As libzmq: where the machine has no IPv6, the option does not get in the way.
    const all = Object.values(node.os.networkInterfaces()).flat();
    const dual = ipv6 && all.some((address) => address?.family === "IPv6");
    const data = new Uint8Array(dual ? 16 : 4);
    return { family: dual ? "ipv6" : "ipv4", port, scope: 0, data };
  }
  const own = interfaceAddresses(host);
  const v4 = own.find((address) => address.family === "IPv4");
  const v6 = ipv6 ? own.find((address) => address.family === "IPv6") : undefined;
  if (v6) {
    const scope = v6.scopeid ?? 0;
    return { family: "ipv6", port, scope, data: octets16(v6.address) };
  }
  return v4 && { family: "ipv4", port, scope: 0, data: octets4(v4.address) };
}

function interfaceAddresses(name: string): NetworkInterfaceInfo[] {
  // Not every property of an object is an interface: "constructor" is not.
  return new Map(Object.entries(node.os.networkInterfaces())).get(name) ?? [];
}

async function lookUp(
  { host, port, text }: TcpEndpoint,
  { ipv6 }: AddressOptions,
  code: ErrorCode,
  advice: string,
): Promise<NetworkAddress[]> {
  const detail = { endpoint: text, advice: `${host} has no address. ${advice}` };
  const found = await Bun.dns.lookup(host, ipv6 ? {} : { family: 4 }).catch((cause: unknown) => {
    throw zmqError(code, { ...detail, cause });
  });
  if (found.length === 0) throw zmqError(code, detail);
  // getaddrinfo repeats what stands twice in /etc/hosts.
  const literals = [...new Set(found.map(({ address }) => address))];
  return literals.flatMap((literal) => ipAddress(text, literal, port, { ipv6: true }) ?? []);
}

// ---- Literals, zones, paths -------------------------------------------------------------------

const octet = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const ipv4 = new RegExp(`^${octet}(\\.${octet}){3}$`);

/** As `isIPv4` of node:net. */
export function isIPv4(text: string): boolean {
  return ipv4.test(text);
}

/** As `isIPv6` of node:net: with or without a zone. */
export function isIPv6(text: string): boolean {
  const literal = text.replace(/%[\w.:-]+$/, "");
  return /^[\da-f:.]+$/i.test(literal) && URL.canParse(`tcp://[${literal}]`);
}

/** The octets of an IP address without a zone; undefined: it is none. */
export function addressOctets(literal: string): Uint8Array | undefined {
  if (isIPv4(literal)) return octets4(literal);
  return isIPv6(literal) && !literal.includes("%") ? octets16(literal) : undefined;
}

function octets4(literal: string): Uint8Array {
  return Uint8Array.from(literal.split("."), Number);
}

/** RFC 4291 §2.2; the text has been checked by isIPv6. */
function octets16(literal: string): Uint8Array {
  const dotted = literal.includes(".") ? literal.slice(literal.lastIndexOf(":") + 1) : "";
  const [head = "", tail] = literal.slice(0, literal.length - dotted.length).split("::");
  const before = groups(head);
  const after = [...groups(tail ?? ""), ...(dotted ? octets4(dotted) : [])];
  const octets = new Uint8Array(16);
  octets.set(before);
  // What follows "::" is at the end; without "::" there is nothing left but the dotted part.
  octets.set(after, 16 - after.length);
  return octets;
}

function groups(text: string): number[] {
  const numbers = text.split(":").filter((group) => group !== "");
  return numbers.flatMap((group) => {
    const number = Number.parseInt(group, 16);
    return [number >> 8, number & 0xff];
  });
}

/** Index of an interface, from its name or its number; undefined when there is none. */
function scopeOf(zone: string): number | undefined {
  if (/^\d{1,9}$/.test(zone)) return Number(zone);
  const scoped = interfaceAddresses(zone).find((address) => address.scopeid);
  if (scoped?.scopeid) return scoped.scopeid;
  // Interfaces without a link-local address, such as lo, tell their index only here.
  if (!/^[\w-][\w.-]{0,14}$/.test(zone)) return undefined;
  try {
    return Number(node.fs.readFileSync(`/sys/class/net/${zone}/ifindex`, "utf8"));
  } catch {
    return undefined;
  }
}

/** A path nobody else has, in a directory of its own as libzmq does it: `tmpXXXXXX/socket`. */
function freshPath(endpoint: string): string {
  const { TMPDIR, TEMPDIR, TMP } = process.env;
  const parent = TMPDIR || TEMPDIR || TMP || "/tmp";
  const { join } = node.path;
  try {
    return join(node.fs.mkdtempSync(join(parent, "tmp")), "socket");
  } catch (cause) {
    const advice = `No directory can be made in ${parent}: set TMPDIR to one that can be written.`;
    const code = (cause as NodeJS.ErrnoException).code;
    const known = code === "ENOENT" || code === "ENOTDIR" || code === "EROFS";
    throw zmqError(known ? code : "EACCES", { endpoint, advice, cause });
  }
}

/** The path that `ipc://*` was given, which is ours to remove. */
export function freshPathOf(
  endpoint: Endpoint,
  address: NetworkAddress | undefined,
): string | undefined {
  if (endpoint.transport !== "ipc" || endpoint.form !== "wildcard") return undefined;
  return address && Buffer.from(address.data).toString();
}

/** Removes the socket made for `ipc://*` and its directory, unless something else is in there. */
export function removeFreshPath(path: string): void {
  node.fs.rmSync(path, { force: true });
  try {
    node.fs.rmdirSync(node.path.dirname(path));
  } catch (error) {
    // Somebody put a file there, or was faster: neither is ours to repair.
    if (!["ENOENT", "ENOTEMPTY"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}
