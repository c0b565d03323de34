// The messages of the interop tests, and their digest: the same as in peers/libzmq_peer.c.

import { crc32 } from "node:zlib";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Sizes of the parts of each message. */
export const shapes: number[][] = [
  [0],
  [1],
  [255],
  [256],
  [64 * KIB],
  [MIB],
  [16 * MIB],
  [0, 0],
  [1, 0, 255, 256, 64 * KIB, 0],
  [300_000, 5, MIB, 0, 70_000, 1],
  Array.from({ length: 60 }, (_, index) => index * 17),
];

/** The same up to 1 MiB, for what is done again and again. */
export const smallerShapes = shapes.filter((shape) => !shape.includes(16 * MIB));

/** As `--messages` of the peer. */
export function textOf(chosen: readonly number[][]): string {
  return chosen.map((shape) => shape.join("+")).join(",");
}

const noise = Buffer.allocUnsafeSlow(16 * MIB + 64 * KIB);
{
  let state = 0x9e3779b9;
  const words = new Uint32Array(noise.buffer);
  for (let i = 0; i < words.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
}

/** Message number `index`: other bytes each time. */
export function messageOf(index: number, chosen: readonly number[][] = shapes): Buffer[] {
  return chosen[index % chosen.length]!.map((size, part) => {
    const start = (index * 127 + part * 13) % (32 * KIB);
    return noise.subarray(start, start + size);
  });
}

/** CRC-32 over messages: of each part a byte for MORE, its size as u32 and its bytes. */
export class Digest {
  value = 0;
  messages = 0;
  readonly #head = Buffer.alloc(5);

  add(message: readonly Uint8Array[]): void {
    message.forEach((part, index) => {
      this.#head[0] = index + 1 < message.length ? 1 : 0;
      this.#head.writeUInt32LE(part.length, 1);
      this.value = crc32(part, crc32(this.#head, this.value));
    });
    this.messages += 1;
  }
}

/** A numbered message: each part begins with the number and its own index. */
export function numbered(number: number, parts: number, size: number): Buffer[] {
  return Array.from({ length: parts }, (_, index) => {
    const part = Buffer.alloc(size);
    part.writeBigUInt64LE(BigInt(number), 0);
    part.writeUInt32LE(index, 8);
    return part;
  });
}

/** The number of a numbered message; throws when it is not whole. */
export function numberOf(message: readonly Buffer[], parts: number): number {
  const number = readNumber(message[0]!);
  const whole = message.every((part, index) => {
    return readNumber(part) === number && part.readUInt32LE(8) === index;
  });
  if (!whole || message.length !== parts) {
    throw new Error(`not a whole message: ${message.map((part) => part.toString("hex")).join()}`);
  }
  return number;
}

function readNumber(part: Buffer): number {
  return part.readUInt32LE(0) + part.readUInt32LE(4) * 2 ** 32;
}

/** The numbers from the first to before the end. */
export function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, index) => first + index);
}
