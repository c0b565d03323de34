// System calls that Bun has no function for: options as the kernel has them, descriptors made by
// hand.

import { dlopen, read } from "bun:ffi";
import { readdirSync, readlinkSync } from "node:fs";

const libc = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  setrlimit: { args: ["i32", "ptr"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  getpeername: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  __errno_location: { args: [], returns: "ptr" },
}).symbols;

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_NONBLOCK = 0o4000;

/** linux/in.h, asm-generic/socket.h, linux/tcp.h */
export const level = { ip: 0, socket: 1, tcp: 6, ipv6: 41 } as const;
export const name = {
  IP_TOS: 1,
  IPV6_V6ONLY: 26,
  IPV6_TCLASS: 67,
  SO_TYPE: 3,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_KEEPALIVE: 9,
  SO_PRIORITY: 12,
  SO_BINDTODEVICE: 25,
  SO_ACCEPTCONN: 30,
  SO_BUSY_POLL: 46,
  TCP_NODELAY: 1,
  TCP_KEEPIDLE: 4,
  TCP_KEEPINTVL: 5,
  TCP_KEEPCNT: 6,
  TCP_INFO: 11,
  TCP_USER_TIMEOUT: 18,
} as const;

function check(result: number, what: string): number {
  if (result >= 0) return result;
  const location = libc.__errno_location();
  throw new Error(`${what}: errno ${location === null ? "?" : read.i32(location)}`);
}

/** The bytes of an option. */
export function optionBytes(fd: number, at: number, option: number, room = 256): Buffer {
  const value = Buffer.alloc(room);
  const size = new Uint32Array([room]);
  check(libc.getsockopt(fd, at, option, value, size), "getsockopt");
  return value.subarray(0, size[0]);
}

/** An option that is a number. */
export function option(fd: number, at: number, option: number): number {
  return optionBytes(fd, at, option).readInt32LE();
}

export function inet(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address.split(".").map(Number), 4);
  return bytes;
}

export function unix(path: string): Buffer {
  const text = Buffer.from(`${path}\0`);
  const bytes = Buffer.alloc(2 + text.length);
  bytes.writeUInt16LE(AF_UNIX, 0);
  bytes.set(text, 2);
  return bytes;
}

export function socket(family: number, type: number = SOCK_STREAM): number {
  return check(libc.socket(family, type, 0), "socket");
}

export function bind(fd: number, address: Buffer): void {
  check(libc.bind(fd, address, address.length), "bind");
}

export function listen(fd: number, backlog = 16): void {
  check(libc.listen(fd, backlog), "listen");
}

export function connect(fd: number, address: Buffer): void {
  check(libc.connect(fd, address, address.length), "connect");
}

export function close(fd: number): void {
  check(libc.close(fd), "close");
}

/** As many as this process may have from now on (RLIMIT_NOFILE). */
export function limitDescriptors(count: number): void {
  check(libc.setrlimit(7, new BigUint64Array([BigInt(count), BigInt(count)])), "setrlimit");
}

/** Whether a descriptor is open. */
export function isOpen(fd: number): boolean {
  return libc.fcntl(fd, 1, 0) >= 0;
}

/** A stream socket that is bound to a free port and listens, if wanted. */
export function listening(options: { type?: number; listens?: boolean } = {}): number {
  const fd = socket(AF_INET, options.type ?? SOCK_STREAM);
  bind(fd, inet("127.0.0.1", 0));
  if (options.listens ?? true) listen(fd);
  return fd;
}

type Naming = typeof libc.getsockname;

function portBy(call: Naming, fd: number): number {
  const bytes = Buffer.alloc(128);
  const size = new Uint32Array([bytes.length]);
  if (call(fd, bytes, size) < 0) return 0;
  const family = bytes.readUInt16LE(0);
  return family === AF_INET || family === AF_INET6 ? bytes.readUInt16BE(2) : 0;
}

export function localPort(fd: number): number {
  return portBy(libc.getsockname, fd);
}

export function peerPort(fd: number): number {
  return portBy(libc.getpeername, fd);
}

/** The open sockets of this process. */
export function sockets(): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
      } catch {
        // The descriptor of the listing itself.
        return false;
      }
    });
}
