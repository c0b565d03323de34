export interface PeerOptions {
  task: string
  endpoint: string
  size: number
  count: number
  warmup: number
  hwm: number
  mode: string
  seconds: number
  sockets: number
  window: number
  noDrop: boolean
  curve: boolean
}

/** Options of a socket. */
export function curveServer(options: PeerOptions): object
export function curveClient(options: PeerOptions): object

export function readArguments(argv?: string[]): PeerOptions
export function print(record: Record<string, unknown>): void
export function wallMs(): number
export function cpuSeconds(): number
export function released(): Promise<void>
export function told(): Promise<void>
export function runPeer(tasks: Record<string, (options: PeerOptions) => Promise<void>>): Promise<void>

export class PullMeter {
  total: number
  bytes: number
  add(messages: number, bytes: number): void
  begin(uncounted?: number): void
  print(): void
}

export class LatencyMeter {
  constructor(count: number, warmup: number)
  add(milliseconds: number): void
  print(): void
}

export class ReplyMeter {
  constructor(count: number, warmup: number)
  more(): boolean
  print(): void
}
