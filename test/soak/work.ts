// What the tasks of the soak share: the time, what is counted, and what must be true.

import { freePort } from "../interop/peer.ts";

/** Parts of a numbered message. */
export const PARTS = 3;

export interface Counts {
  messages: number;
  /** Peers, connections or proxies that were killed and came again. */
  lives: number;
  opened: number;
  strangers: number;
  /** Lost where the pattern may lose, each one counted by the socket that dropped it. */
  dropped: number;
}

export const noCounts = (): Counts => ({
  messages: 0,
  lives: 0,
  opened: 0,
  strangers: 0,
  dropped: 0,
});

/** What a task is given. */
export interface Task {
  /** Until the time is over. A task ends what it has begun, and closes its sockets. */
  readonly running: boolean;
  readonly counts: Counts;
  /** Says where it is, for the case that it hangs. */
  step(step: string): void;
}

export type Tasks = Record<string, (task: Task) => Promise<void>>;

export function check(condition: boolean, what: string | (() => string)): asserts condition {
  if (!condition) throw new Error(`soak: ${typeof what === "string" ? what : what()}`);
}

export async function until(done: () => boolean, what: string, limitMs = 20_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!done()) {
    if (performance.now() > deadline) throw new Error(`soak: not within ${limitMs} ms: ${what}`);
    await Bun.sleep(2);
  }
}

/** An endpoint to bind again and again, that no other thread and no client's own port takes. */
export function ownPort(): string {
  const byte = () => 1 + Math.floor(Math.random() * 250);
  return `tcp://127.${byte()}.${byte()}.${byte()}:${freePort()}`;
}

/** Numbers of many lives, the first of each a multiple of a million: in order, none twice. */
export class Lives {
  readonly #arrived: number[] = [];

  add(number: number): void {
    const life = Math.floor(number / 1e6);
    const expected = life * 1e6 + this.of(life);
    check(number === expected, () => `${number} instead of ${expected}`);
    this.#arrived[life] = this.of(life) + 1;
  }

  of(life: number): number {
    return this.#arrived[life] ?? 0;
  }
}
