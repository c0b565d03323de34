// Written by `npm run abi` from zig/abi.zig. Do not edit: change that file instead.

export const FINGERPRINT = 3874926266;

/** For `dlopen`. */
export const functions = {
  monocoque_fingerprint: { args: [], returns: "u32" },
  monocoque_context_create: { args: ["u32"], returns: "i32" },
  monocoque_context_destroy: { args: [], returns: "void" },
  monocoque_context_record: { args: [], returns: "ptr" },
  monocoque_context_stats: { args: [], returns: "void" },
  monocoque_wake_descriptor: { args: [], returns: "i32" },
  monocoque_wake_duplicate: { args: [], returns: "i32" },
  monocoque_wake_drain: { args: [], returns: "void" },
  monocoque_arena_lend: { args: ["ptr", "u32"], returns: "i32" },
  monocoque_arena_viewed: { args: ["u32"], returns: "void" },
  monocoque_tick: { args: [], returns: "u32" },
  monocoque_flush: { args: [], returns: "void" },
  monocoque_wait: { args: ["i32"], returns: "u32" },
  monocoque_has_events: { args: [], returns: "u32" },
  monocoque_events: { args: [], returns: "u32" },
  monocoque_socket_open: { args: ["u32"], returns: "i32" },
  monocoque_socket_shared: { args: ["u32"], returns: "ptr" },
  monocoque_socket_close: { args: ["u32", "i32"], returns: "i32" },
  monocoque_socket_bind: { args: ["u32"], returns: "i32" },
  monocoque_socket_unbind: { args: ["u32", "u32", "i32"], returns: "i32" },
  monocoque_socket_connect: { args: ["u32", "u32"], returns: "i32" },
  monocoque_socket_disconnect: { args: ["u32", "u32", "i32"], returns: "i32" },
  monocoque_socket_ready: { args: ["u32"], returns: "u32" },
  monocoque_socket_want: { args: ["u32", "u32"], returns: "i32" },
  monocoque_endpoint_resolved: { args: ["u32", "u32"], returns: "i32" },
  monocoque_send: { args: ["u32", "ptr", "u32", "u32"], returns: "i32" },
  monocoque_commit: { args: [], returns: "void" },
  monocoque_fill: { args: ["u32"], returns: "i32" },
  monocoque_copy: { args: ["u32", "u32", "ptr", "u32"], returns: "i32" },
  monocoque_buffer_lend: { args: ["u32", "ptr", "u32", "u32"], returns: "i32" },
  monocoque_monitor: { args: ["u32", "u32"], returns: "i32" },
  monocoque_monitor_next: { args: ["u32"], returns: "i32" },
  monocoque_probe_fill: { args: ["u32", "ptr"], returns: "u32" },
  monocoque_probe_check: { args: ["u32", "ptr"], returns: "u32" },
  monocoque_probe_signature: { args: ["u32", "i32", "ptr", "u32"], returns: "u32" },
} as const;

export const AddressRecord = {
  bytes: 124,
  family: { offset: 0, bytes: 4, type: "u32" },
  port: { offset: 4, bytes: 4, type: "u32" },
  scope: { offset: 8, bytes: 4, type: "u32" },
  data_bytes: { offset: 12, bytes: 4, type: "u32" },
  data: { offset: 16, bytes: 108, type: "bytes" },
} as const;

export const ContextRecord = {
  bytes: 2424,
  result: { offset: 0, bytes: 4, type: "u32" },
  text_bytes: { offset: 4, bytes: 4, type: "u32" },
  text: { offset: 8, bytes: 128, type: "bytes" },
  addresses: { offset: 136, bytes: 992, type: "records" },
  events: { offset: 1128, bytes: 1024, type: "records" },
  monitor_event: { offset: 2152, bytes: 152, type: "record" },
  stats: { offset: 2304, bytes: 120, type: "record" },
} as const;

export const ContextStatsRecord = {
  bytes: 120,
  system_calls: { offset: 0, bytes: 8, type: "u64" },
  receives: { offset: 8, bytes: 8, type: "u64" },
  sends: { offset: 16, bytes: 8, type: "u64" },
  wakeups: { offset: 24, bytes: 8, type: "u64" },
  ticks: { offset: 32, bytes: 8, type: "u64" },
  late_completions: { offset: 40, bytes: 8, type: "u64" },
  spilled_bytes: { offset: 48, bytes: 8, type: "u64" },
  memory_mapped_bytes: { offset: 56, bytes: 8, type: "u64" },
  memory_live_bytes: { offset: 64, bytes: 8, type: "u64" },
  memory_live_blocks: { offset: 72, bytes: 8, type: "u64" },
  memory_allocations: { offset: 80, bytes: 8, type: "u64" },
  memory_system_calls: { offset: 88, bytes: 8, type: "u64" },
  memory_refused: { offset: 96, bytes: 8, type: "u64" },
  sockets: { offset: 104, bytes: 4, type: "u32" },
  sessions: { offset: 108, bytes: 4, type: "u32" },
  listeners: { offset: 112, bytes: 4, type: "u32" },
  timers: { offset: 116, bytes: 4, type: "u32" },
} as const;

export const EventRecord = {
  bytes: 16,
  kind: { offset: 0, bytes: 4, type: "u32" },
  handle: { offset: 4, bytes: 4, type: "u32" },
  a: { offset: 8, bytes: 4, type: "u32" },
  b: { offset: 12, bytes: 4, type: "u32" },
} as const;

export const MonitorEventRecord = {
  bytes: 152,
  type: { offset: 0, bytes: 4, type: "u32" },
  reason: { offset: 4, bytes: 4, type: "u32" },
  endpoint: { offset: 8, bytes: 4, type: "u32" },
  connection: { offset: 12, bytes: 4, type: "u32" },
  value: { offset: 16, bytes: 4, type: "u32" },
  peer_bytes: { offset: 20, bytes: 4, type: "u32" },
  peer: { offset: 24, bytes: 128, type: "bytes" },
} as const;

export const EntryRecord = {
  bytes: 16,
  length: { offset: 0, bytes: 4, type: "u32" },
  place: { offset: 4, bytes: 4, type: "u32" },
  flags: { offset: 8, bytes: 4, type: "u32" },
  source: { offset: 12, bytes: 4, type: "u32" },
} as const;

export const CursorRecord = {
  bytes: 8,
  taken: { offset: 0, bytes: 4, type: "u32" },
  filled: { offset: 4, bytes: 4, type: "u32" },
} as const;

export const SocketRecord = {
  bytes: 80,
  cursor: { offset: 0, bytes: 8, type: "record" },
  messages_sent: { offset: 8, bytes: 8, type: "u64" },
  messages_received: { offset: 16, bytes: 8, type: "u64" },
  dropped_disconnect: { offset: 24, bytes: 8, type: "u64" },
  dropped_no_peer: { offset: 32, bytes: 8, type: "u64" },
  dropped_malformed: { offset: 40, bytes: 8, type: "u64" },
  dropped_stale: { offset: 48, bytes: 8, type: "u64" },
  dropped_linger: { offset: 56, bytes: 8, type: "u64" },
  handshakes_failed: { offset: 64, bytes: 8, type: "u64" },
  connections: { offset: 72, bytes: 4, type: "u32" },
  events_waiting: { offset: 76, bytes: 4, type: "u32" },
} as const;

export const SocketOptionsRecord = {
  bytes: 344,
  linger_ms: { offset: 0, bytes: 4, type: "i32" },
  send_high_water_mark: { offset: 4, bytes: 4, type: "u32" },
  receive_high_water_mark: { offset: 8, bytes: 4, type: "u32" },
  reconnect_interval_ms: { offset: 12, bytes: 4, type: "i32" },
  reconnect_interval_max_ms: { offset: 16, bytes: 4, type: "i32" },
  backlog: { offset: 20, bytes: 4, type: "u32" },
  handshake_interval_ms: { offset: 24, bytes: 4, type: "u32" },
  connect_timeout_ms: { offset: 28, bytes: 4, type: "u32" },
  message_bytes_max: { offset: 32, bytes: 4, type: "i32" },
  send_buffer_bytes: { offset: 36, bytes: 4, type: "i32" },
  receive_buffer_bytes: { offset: 40, bytes: 4, type: "i32" },
  tcp_keepalive: { offset: 44, bytes: 4, type: "i32" },
  tcp_keepalive_count: { offset: 48, bytes: 4, type: "i32" },
  tcp_keepalive_idle_s: { offset: 52, bytes: 4, type: "i32" },
  tcp_keepalive_interval_s: { offset: 56, bytes: 4, type: "i32" },
  tcp_max_retransmit_ms: { offset: 60, bytes: 4, type: "u32" },
  type_of_service: { offset: 64, bytes: 4, type: "u32" },
  immediate: { offset: 68, bytes: 4, type: "u32" },
  ipv6: { offset: 72, bytes: 4, type: "u32" },
  request_correlate: { offset: 76, bytes: 4, type: "u32" },
  request_relaxed: { offset: 80, bytes: 4, type: "u32" },
  routing_id_bytes: { offset: 84, bytes: 4, type: "u32" },
  routing_id_buffer: { offset: 88, bytes: 256, type: "bytes" },
} as const;

export const SharedRecord = {
  bytes: 8616,
  record: { offset: 0, bytes: 80, type: "record" },
  options: { offset: 80, bytes: 344, type: "record" },
  entries: { offset: 424, bytes: 8192, type: "records" },
} as const;

/** In the order of the probes' record numbers. */
export const records = [
  AddressRecord,
  ContextRecord,
  ContextStatsRecord,
  EventRecord,
  MonitorEventRecord,
  EntryRecord,
  CursorRecord,
  SocketRecord,
  SocketOptionsRecord,
  SharedRecord,
] as const;

export const Status = {
  OK: 0,
  EPERM: -1,
  ENOENT: -2,
  EIO: -5,
  EBADF: -9,
  EAGAIN: -11,
  ENOMEM: -12,
  EACCES: -13,
  EINVAL: -22,
  EMFILE: -24,
  ENAMETOOLONG: -36,
  ENOTDIR: -20,
  ENOSYS: -38,
  ENOTSUP: -95,
  EAFNOSUPPORT: -97,
  EADDRINUSE: -98,
  EADDRNOTAVAIL: -99,
  ENOBUFS: -105,
  EFSM: -156384763,
} as const;

export const SocketType = {
  req: 3,
  rep: 4,
  pull: 7,
  push: 8,
} as const;

export const EventKind = {
  none: 0,
  ready: 1,
  buffer: 2,
  resolve: 3,
  abandoned: 4,
} as const;

export const MonitorEventType = {
  listening: 1,
  bind_failed: 2,
  accepted: 3,
  accept_failed: 4,
  connect_delayed: 5,
  connected: 6,
  connect_retried: 7,
  connect_failed: 8,
  handshake_succeeded: 9,
  handshake_failed_protocol: 10,
  handshake_failed_auth: 11,
  handshake_failed_other: 12,
  disconnected: 13,
  closed: 14,
} as const;

export const Reason = {
  none: 0,
  peer_closed: 1,
  connection_reset: 2,
  connection_refused: 3,
  connection_timed_out: 4,
  unreachable_address: 5,
  name_not_found: 6,
  io_error: 7,
  handshake_timeout: 8,
  frame_too_large: 9,
  message_too_many_parts: 10,
  malformed_command: 11,
  out_of_memory: 12,
  local: 13,
  descriptors_exhausted: 14,
  reserved_flags: 15,
  not_zmtp: 64,
  version_too_old: 65,
  mechanism_mismatch: 66,
  unexpected_command: 67,
  handshake_malformed_command: 68,
  malformed_ready: 69,
  malformed_error: 70,
  invalid_metadata: 71,
  socket_type_mismatch: 72,
  identity_too_long: 73,
  identity_reserved: 74,
  command_too_large: 75,
  peer_error: 76,
} as const;

export const SEND_MORE = 1;
export const SEND_HOLD = 2;
export const INTEREST_READABLE = 1;
export const INTEREST_WRITABLE = 2;
export const TICK_MORE = 1;
export const TICK_EVENTS = 2;
export const TICK_STARVED = 4;
export const ENTRY_MORE = 1;
export const ENTRY_ARENA = 2;
export const ENTRY_LENT = 4;
export const ENTRY_CUT = 8;
export const RING_ENTRIES = 512;
export const ARENA_BYTES_DEFAULT = 65536;
export const ARENA_BYTES_MAX = 1048576;
export const GATHER_BYTES_MIN = 1536;
export const ADDRESSES_MAX = 8;
export const EVENTS_BATCH = 64;
