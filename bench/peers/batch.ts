// What our own peers send and receive in batches.

/** Enough to make the cost of a call vanish, few enough that a batch of small messages stays in the cache. */
const BATCH_MESSAGES_MAX = 256
const BATCH_MESSAGES_MIN = 16
const BATCH_BYTES = 256 * 1024

/** A broken peer should end with our error, not with the harness's deadline. */
export const TIMEOUT_MS = 30_000

export function batchOf(payload: Buffer): Buffer[] {
  const fitting = Math.floor(BATCH_BYTES / Math.max(payload.length, 1))
  const length = Math.min(BATCH_MESSAGES_MAX, Math.max(BATCH_MESSAGES_MIN, fitting))
  return Array.from({ length }, () => payload)
}

/** Looks at every message: a batch whose messages are never touched would measure less than a user gets. */
export function batchBytes(batch: readonly (readonly Uint8Array[])[]): number {
  let bytes = 0
  for (const message of batch) bytes += message[0]!.length
  return bytes
}
