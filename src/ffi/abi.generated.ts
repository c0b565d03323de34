// Written by `npm run abi` from zig/abi.zig. Do not edit: change that file instead.

export const FINGERPRINT = 3329273717;

/** For `dlopen`. */
export const functions = {
  monocoque_fingerprint: { args: [], returns: "u32" },
  monocoque_context_create: { args: ["u32", "u32"], returns: "i32" },
  monocoque_context_destroy: { args: [], returns: "void" },
  monocoque_context_record: { args: [], returns: "ptr" },
  monocoque_context_stats: { args: [], returns: "void" },
  monocoque_wake_descriptor: { args: [], returns: "i32" },
  monocoque_wake_duplicate: { args: [], returns: "i32" },
  monocoque_wake_drain: { args: [], returns: "void" },
  monocoque_arena_lend: { args: ["ptr", "u32"], returns: "i32" },
  monocoque_arena_viewed: { args: ["u32"], returns: "void" },
  monocoque_tick: { args: ["u32"], returns: "u32" },
  monocoque_memory_limit: { args: ["u32"], returns: "void" },
  monocoque_spin: { args: ["u32"], returns: "void" },
  monocoque_poll: { args: [], returns: "void" },
  monocoque_flush: { args: [], returns: "u32" },
  monocoque_wait: { args: ["i32"], returns: "u32" },
  monocoque_has_events: { args: [], returns: "u32" },
  monocoque_events: { args: [], returns: "u32" },
  monocoque_socket_open: { args: ["u32"], returns: "i32" },
  monocoque_socket_shared: { args: ["u32"], returns: "ptr" },
  monocoque_socket_close: { args: ["u32", "i32"], returns: "i32" },
  monocoque_socket_forget: { args: ["u32"], returns: "i32" },
  monocoque_socket_bind: { args: ["u32"], returns: "i32" },
  monocoque_socket_bind_inproc: { args: ["u32", "ptr", "u32"], returns: "i32" },
  monocoque_socket_connect_inproc: { args: ["u32", "ptr", "u32"], returns: "i32" },
  monocoque_socket_unbind: { args: ["u32", "u32", "i32"], returns: "i32" },
  monocoque_socket_connect: { args: ["u32", "u32"], returns: "i32" },
  monocoque_socket_disconnect: { args: ["u32", "u32", "i32"], returns: "i32" },
  monocoque_socket_connections: { args: ["u32", "u32"], returns: "i32" },
  monocoque_socket_unsent: { args: ["u32"], returns: "i32" },
  monocoque_socket_queues: { args: ["u32"], returns: "i32" },
  monocoque_socket_peers: { args: ["u32", "u32"], returns: "i32" },
  monocoque_socket_limits_changed: { args: ["u32"], returns: "i32" },
  monocoque_socket_peer: { args: ["u32", "ptr", "u32"], returns: "i32" },
  monocoque_socket_set_bytes: { args: ["u32", "u32", "ptr", "u32"], returns: "i32" },
  monocoque_socket_subscribe: { args: ["u32", "ptr", "u32"], returns: "i32" },
  monocoque_socket_unsubscribe: { args: ["u32", "ptr", "u32"], returns: "i32" },
  monocoque_socket_subscribed: { args: ["u32", "ptr", "u32"], returns: "i32" },
  monocoque_socket_peer_number: { args: ["u32", "u32"], returns: "u32" },
  monocoque_socket_disconnect_peer: { args: ["u32", "ptr", "u32", "i32"], returns: "i32" },
  monocoque_socket_secure: { args: ["u32"], returns: "i32" },
  monocoque_authentication: { args: ["u32", "u32"], returns: "i32" },
  monocoque_authenticated: { args: ["u32", "u32", "u32"], returns: "i32" },
  monocoque_curve_key_pair: { args: ["ptr"], returns: "i32" },
  monocoque_curve_public_key: { args: ["ptr", "ptr"], returns: "i32" },
  monocoque_socket_ready: { args: ["u32"], returns: "u32" },
  monocoque_socket_want: { args: ["u32", "u32"], returns: "i32" },
  monocoque_endpoint_resolved: { args: ["u32", "u32"], returns: "i32" },
  monocoque_send: { args: ["u32", "ptr", "u32", "u32"], returns: "i32" },
  monocoque_commit: { args: [], returns: "u32" },
  monocoque_fill: { args: ["u32"], returns: "i32" },
  monocoque_copy: { args: ["u32", "u32", "ptr", "u32"], returns: "i32" },
  monocoque_buffer_lend: { args: ["u32", "ptr", "u32", "u32"], returns: "i32" },
  monocoque_monitor: { args: ["u32", "u32"], returns: "i32" },
  monocoque_monitor_next: { args: ["u32"], returns: "i32" },
  monocoque_proxy_create: { args: ["u32"], returns: "i32" },
  monocoque_proxy_give: { args: ["u32", "u32", "u32", "u32"], returns: "i32" },
  monocoque_proxy_socket: { args: ["u32", "u32"], returns: "i32" },
  monocoque_proxy_command: { args: ["u32", "u32"], returns: "i32" },
  monocoque_proxy_running: { args: ["u32"], returns: "i32" },
  monocoque_proxy_ask: { args: ["u32"], returns: "u32" },
  monocoque_proxy_answer: { args: ["u32", "u32", "u32"], returns: "i32" },
  monocoque_proxy_authentication: { args: ["u32"], returns: "i32" },
  monocoque_proxy_authenticated: { args: ["u32", "u32", "u32", "u32"], returns: "i32" },
  monocoque_proxy_destroy: { args: ["u32"], returns: "i32" },
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

export const AuthenticationRecord = {
  bytes: 716,
  session: { offset: 0, bytes: 4, type: "u32" },
  request: { offset: 4, bytes: 4, type: "u32" },
  socket: { offset: 8, bytes: 4, type: "u32" },
  connecting: { offset: 12, bytes: 4, type: "u32" },
  mechanism: { offset: 16, bytes: 4, type: "u32" },
  endpoint: { offset: 20, bytes: 4, type: "u32" },
  username_bytes: { offset: 24, bytes: 4, type: "u32" },
  password_bytes: { offset: 28, bytes: 4, type: "u32" },
  username: { offset: 32, bytes: 256, type: "bytes" },
  password: { offset: 288, bytes: 256, type: "bytes" },
  public_key: { offset: 544, bytes: 32, type: "bytes" },
  process_id: { offset: 576, bytes: 4, type: "u32" },
  user_id: { offset: 580, bytes: 4, type: "u32" },
  text_bytes: { offset: 584, bytes: 4, type: "u32" },
  text: { offset: 588, bytes: 128, type: "bytes" },
} as const;

export const BackendRecord = {
  bytes: 16,
  kind: { offset: 0, bytes: 4, type: "u32" },
  wake: { offset: 4, bytes: 4, type: "u32" },
  refused_step: { offset: 8, bytes: 4, type: "u32" },
  refused_errno: { offset: 12, bytes: 4, type: "u32" },
} as const;

export const ConnectRecord = {
  bytes: 1176,
  routing_id_bytes: { offset: 0, bytes: 4, type: "u32" },
  routing_id: { offset: 4, bytes: 260, type: "bytes" },
  source: { offset: 264, bytes: 124, type: "record" },
  target_kind: { offset: 388, bytes: 4, type: "u32" },
  target_port: { offset: 392, bytes: 4, type: "u32" },
  target_bytes: { offset: 396, bytes: 4, type: "u32" },
  proxy_username_bytes: { offset: 400, bytes: 4, type: "u32" },
  proxy_password_bytes: { offset: 404, bytes: 4, type: "u32" },
  target: { offset: 408, bytes: 256, type: "bytes" },
  proxy_username: { offset: 664, bytes: 256, type: "bytes" },
  proxy_password: { offset: 920, bytes: 256, type: "bytes" },
} as const;

export const ContextRecord = {
  bytes: 21472,
  result: { offset: 0, bytes: 4, type: "u32" },
  text_bytes: { offset: 4, bytes: 4, type: "u32" },
  text: { offset: 8, bytes: 128, type: "bytes" },
  addresses: { offset: 136, bytes: 992, type: "records" },
  connect: { offset: 1128, bytes: 1176, type: "record" },
  peer: { offset: 2304, bytes: 152, type: "record" },
  security: { offset: 2456, bytes: 628, type: "record" },
  authentication: { offset: 3084, bytes: 716, type: "record" },
  events: { offset: 3800, bytes: 1024, type: "records" },
  monitor_event: { offset: 4824, bytes: 304, type: "record" },
  stats: { offset: 5128, bytes: 176, type: "record" },
  backend: { offset: 5304, bytes: 16, type: "record" },
  proxy: { offset: 5320, bytes: 64, type: "record" },
  socket: { offset: 5384, bytes: 696, type: "record" },
  queues: { offset: 6080, bytes: 32, type: "record" },
  peers: { offset: 6112, bytes: 15360, type: "records" },
} as const;

export const ContextStatsRecord = {
  bytes: 176,
  system_calls: { offset: 0, bytes: 8, type: "u64" },
  receives: { offset: 8, bytes: 8, type: "u64" },
  sends: { offset: 16, bytes: 8, type: "u64" },
  wakeups: { offset: 24, bytes: 8, type: "u64" },
  ticks: { offset: 32, bytes: 8, type: "u64" },
  late_completions: { offset: 40, bytes: 8, type: "u64" },
  spilled_bytes: { offset: 48, bytes: 8, type: "u64" },
  memory_mapped_bytes: { offset: 56, bytes: 8, type: "u64" },
  memory_limit_bytes: { offset: 64, bytes: 8, type: "u64" },
  memory_live_bytes: { offset: 72, bytes: 8, type: "u64" },
  memory_live_blocks: { offset: 80, bytes: 8, type: "u64" },
  memory_allocations: { offset: 88, bytes: 8, type: "u64" },
  memory_system_calls: { offset: 96, bytes: 8, type: "u64" },
  memory_refused: { offset: 104, bytes: 8, type: "u64" },
  arena_bytes: { offset: 112, bytes: 8, type: "u64" },
  arena_used_bytes: { offset: 120, bytes: 8, type: "u64" },
  events_dropped: { offset: 128, bytes: 8, type: "u64" },
  inproc_links: { offset: 136, bytes: 8, type: "u64" },
  inproc_bytes: { offset: 144, bytes: 8, type: "u64" },
  sockets: { offset: 152, bytes: 4, type: "u32" },
  sessions: { offset: 156, bytes: 4, type: "u32" },
  listeners: { offset: 160, bytes: 4, type: "u32" },
  timers: { offset: 164, bytes: 4, type: "u32" },
  connections: { offset: 168, bytes: 4, type: "u32" },
  buffers_lost: { offset: 172, bytes: 4, type: "u32" },
} as const;

export const EventRecord = {
  bytes: 16,
  kind: { offset: 0, bytes: 4, type: "u32" },
  handle: { offset: 4, bytes: 4, type: "u32" },
  a: { offset: 8, bytes: 4, type: "u32" },
  b: { offset: 12, bytes: 4, type: "u32" },
} as const;

export const MonitorEventRecord = {
  bytes: 304,
  type: { offset: 0, bytes: 4, type: "u32" },
  reason: { offset: 4, bytes: 4, type: "u32" },
  endpoint: { offset: 8, bytes: 4, type: "u32" },
  connection: { offset: 12, bytes: 4, type: "u32" },
  value: { offset: 16, bytes: 4, type: "u32" },
  missed: { offset: 20, bytes: 4, type: "u32" },
  time_us: { offset: 24, bytes: 8, type: "u64" },
  process_id: { offset: 32, bytes: 4, type: "u32" },
  user_id: { offset: 36, bytes: 4, type: "u32" },
  local_bytes: { offset: 40, bytes: 4, type: "u32" },
  remote_bytes: { offset: 44, bytes: 4, type: "u32" },
  local: { offset: 48, bytes: 128, type: "bytes" },
  remote: { offset: 176, bytes: 128, type: "bytes" },
} as const;

export const PeerRecord = {
  bytes: 152,
  connection: { offset: 0, bytes: 4, type: "u32" },
  endpoint: { offset: 4, bytes: 4, type: "u32" },
  connected: { offset: 8, bytes: 4, type: "u32" },
  writable: { offset: 12, bytes: 4, type: "u32" },
  socket_type: { offset: 16, bytes: 4, type: "i32" },
  text_bytes: { offset: 20, bytes: 4, type: "u32" },
  text: { offset: 24, bytes: 128, type: "bytes" },
} as const;

export const PeerStatsRecord = {
  bytes: 480,
  connection: { offset: 0, bytes: 4, type: "u32" },
  endpoint: { offset: 4, bytes: 4, type: "u32" },
  connected: { offset: 8, bytes: 4, type: "u32" },
  round_trip_us: { offset: 12, bytes: 4, type: "u32" },
  send_messages: { offset: 16, bytes: 4, type: "u32" },
  receive_messages: { offset: 20, bytes: 4, type: "u32" },
  send_bytes: { offset: 24, bytes: 8, type: "u64" },
  receive_bytes: { offset: 32, bytes: 8, type: "u64" },
  traffic: { offset: 40, bytes: 32, type: "record" },
  connected_ms: { offset: 72, bytes: 8, type: "u64" },
  number: { offset: 80, bytes: 4, type: "u32" },
  socket_type: { offset: 84, bytes: 4, type: "i32" },
  routing_id_bytes: { offset: 88, bytes: 4, type: "u32" },
  text_bytes: { offset: 92, bytes: 4, type: "u32" },
  routing_id: { offset: 96, bytes: 256, type: "bytes" },
  text: { offset: 352, bytes: 128, type: "bytes" },
} as const;

export const QueuesRecord = {
  bytes: 32,
  send_messages: { offset: 0, bytes: 8, type: "u64" },
  send_bytes: { offset: 8, bytes: 8, type: "u64" },
  receive_messages: { offset: 16, bytes: 8, type: "u64" },
  receive_bytes: { offset: 24, bytes: 8, type: "u64" },
} as const;

export const SecurityRecord = {
  bytes: 628,
  mechanism: { offset: 0, bytes: 4, type: "u32" },
  server: { offset: 4, bytes: 4, type: "u32" },
  authenticate: { offset: 8, bytes: 4, type: "u32" },
  username_bytes: { offset: 12, bytes: 4, type: "u32" },
  password_bytes: { offset: 16, bytes: 4, type: "u32" },
  username: { offset: 20, bytes: 256, type: "bytes" },
  password: { offset: 276, bytes: 256, type: "bytes" },
  secret_key: { offset: 532, bytes: 32, type: "bytes" },
  public_key: { offset: 564, bytes: 32, type: "bytes" },
  server_key: { offset: 596, bytes: 32, type: "bytes" },
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
  bytes: 696,
  cursor: { offset: 0, bytes: 8, type: "record" },
  totals: { offset: 8, bytes: 56, type: "record" },
  messages_sent: { offset: 64, bytes: 8, type: "u64" },
  parts_begun: { offset: 72, bytes: 8, type: "u64" },
  messages_received: { offset: 80, bytes: 8, type: "u64" },
  dropped_high_water_mark: { offset: 88, bytes: 8, type: "u64" },
  dropped_unroutable: { offset: 96, bytes: 8, type: "u64" },
  dropped_unsubscribed: { offset: 104, bytes: 8, type: "u64" },
  dropped_unread: { offset: 112, bytes: 8, type: "u64" },
  dropped_filtered: { offset: 120, bytes: 8, type: "u64" },
  dropped_conflated: { offset: 128, bytes: 8, type: "u64" },
  dropped_disconnect: { offset: 136, bytes: 8, type: "u64" },
  dropped_no_peer: { offset: 144, bytes: 8, type: "u64" },
  dropped_malformed: { offset: 152, bytes: 8, type: "u64" },
  dropped_stale: { offset: 160, bytes: 8, type: "u64" },
  dropped_linger: { offset: 168, bytes: 8, type: "u64" },
  dropped_closed: { offset: 176, bytes: 8, type: "u64" },
  dropped_refused: { offset: 184, bytes: 8, type: "u64" },
  subscriptions_received: { offset: 192, bytes: 8, type: "u64" },
  connections_made: { offset: 200, bytes: 8, type: "u64" },
  reconnects: { offset: 208, bytes: 8, type: "u64" },
  reconnects_made: { offset: 216, bytes: 8, type: "u64" },
  handshakes_failed: { offset: 224, bytes: 8, type: "u64" },
  subscriptions_refused: { offset: 232, bytes: 8, type: "u64" },
  dropped_events: { offset: 240, bytes: 8, type: "u64" },
  slow_peers: { offset: 248, bytes: 8, type: "u64" },
  connections_refused: { offset: 256, bytes: 8, type: "u64" },
  handshakes_dropped: { offset: 264, bytes: 8, type: "u64" },
  accepts_paused: { offset: 272, bytes: 8, type: "u64" },
  limits_exceeded: { offset: 280, bytes: 8, type: "u64" },
  memory_failures: { offset: 288, bytes: 8, type: "u64" },
  connections: { offset: 296, bytes: 4, type: "u32" },
  events_waiting: { offset: 300, bytes: 4, type: "u32" },
  topics: { offset: 304, bytes: 4, type: "u32" },
  peers_refused: { offset: 308, bytes: 4, type: "u32" },
  heartbeats_failed: { offset: 312, bytes: 4, type: "u32" },
  failure: { offset: 316, bytes: 4, type: "u32" },
  handshake_failures: { offset: 320, bytes: 376, type: "records" },
} as const;

export const SocketOptionsRecord = {
  bytes: 2532,
  linger_ms: { offset: 0, bytes: 4, type: "i32" },
  send_high_water_mark: { offset: 4, bytes: 4, type: "u32" },
  receive_high_water_mark: { offset: 8, bytes: 4, type: "u32" },
  send_high_water_mark_bytes: { offset: 12, bytes: 4, type: "u32" },
  receive_high_water_mark_bytes: { offset: 16, bytes: 4, type: "u32" },
  send_high_water_mark_policy: { offset: 20, bytes: 4, type: "u32" },
  reconnect_interval_ms: { offset: 24, bytes: 4, type: "i32" },
  reconnect_interval_max_ms: { offset: 28, bytes: 4, type: "i32" },
  backlog: { offset: 32, bytes: 4, type: "u32" },
  reconnect_stop: { offset: 36, bytes: 4, type: "u32" },
  permanent_failure: { offset: 40, bytes: 4, type: "u32" },
  heartbeat_interval_ms: { offset: 44, bytes: 4, type: "u32" },
  heartbeat_timeout_ms: { offset: 48, bytes: 4, type: "i32" },
  heartbeat_ttl_ms: { offset: 52, bytes: 4, type: "u32" },
  handshake_interval_ms: { offset: 56, bytes: 4, type: "u32" },
  connect_timeout_ms: { offset: 60, bytes: 4, type: "u32" },
  message_bytes_max: { offset: 64, bytes: 4, type: "i32" },
  whole_message_bytes_max: { offset: 68, bytes: 4, type: "u32" },
  message_parts_max: { offset: 72, bytes: 4, type: "u32" },
  connections_max: { offset: 76, bytes: 4, type: "u32" },
  handshakes_max: { offset: 80, bytes: 4, type: "u32" },
  send_buffer_bytes: { offset: 84, bytes: 4, type: "i32" },
  receive_buffer_bytes: { offset: 88, bytes: 4, type: "i32" },
  tcp_keepalive: { offset: 92, bytes: 4, type: "i32" },
  tcp_keepalive_count: { offset: 96, bytes: 4, type: "i32" },
  tcp_keepalive_idle_s: { offset: 100, bytes: 4, type: "i32" },
  tcp_keepalive_interval_s: { offset: 104, bytes: 4, type: "i32" },
  tcp_max_retransmit_ms: { offset: 108, bytes: 4, type: "u32" },
  type_of_service: { offset: 112, bytes: 4, type: "u32" },
  priority: { offset: 116, bytes: 4, type: "u32" },
  busy_poll_us: { offset: 120, bytes: 4, type: "u32" },
  use_fd: { offset: 124, bytes: 4, type: "i32" },
  device_bytes: { offset: 128, bytes: 4, type: "u32" },
  device_buffer: { offset: 132, bytes: 16, type: "bytes" },
  immediate: { offset: 148, bytes: 4, type: "u32" },
  ipv6: { offset: 152, bytes: 4, type: "u32" },
  request_correlate: { offset: 156, bytes: 4, type: "u32" },
  request_relaxed: { offset: 160, bytes: 4, type: "u32" },
  router_mandatory: { offset: 164, bytes: 4, type: "u32" },
  router_handover: { offset: 168, bytes: 4, type: "u32" },
  router_notify: { offset: 172, bytes: 4, type: "u32" },
  probe_router: { offset: 176, bytes: 4, type: "u32" },
  stream_notify: { offset: 180, bytes: 4, type: "u32" },
  conflate: { offset: 184, bytes: 4, type: "u32" },
  publisher_no_drop: { offset: 188, bytes: 4, type: "u32" },
  publisher_verbosity: { offset: 192, bytes: 4, type: "u32" },
  publisher_manual: { offset: 196, bytes: 4, type: "u32" },
  invert_matching: { offset: 200, bytes: 4, type: "u32" },
  only_first_subscribe: { offset: 204, bytes: 4, type: "u32" },
  subscriber_verbose_unsubscribe: { offset: 208, bytes: 4, type: "u32" },
  subscriptions_max: { offset: 212, bytes: 4, type: "u32" },
  subscription_bytes_max: { offset: 216, bytes: 4, type: "u32" },
  routing_id_bytes: { offset: 220, bytes: 4, type: "u32" },
  routing_id_buffer: { offset: 224, bytes: 256, type: "bytes" },
  metadata_bytes: { offset: 480, bytes: 4, type: "u32" },
  metadata_buffer: { offset: 484, bytes: 2048, type: "bytes" },
} as const;

export const ProxySideRecord = {
  bytes: 32,
  messages_in: { offset: 0, bytes: 8, type: "u64" },
  bytes_in: { offset: 8, bytes: 8, type: "u64" },
  messages_out: { offset: 16, bytes: 8, type: "u64" },
  bytes_out: { offset: 24, bytes: 8, type: "u64" },
} as const;

export const ProxyStatisticsRecord = {
  bytes: 64,
  front: { offset: 0, bytes: 32, type: "record" },
  back: { offset: 32, bytes: 32, type: "record" },
} as const;

export const SharedRecord = {
  bytes: 11424,
  record: { offset: 0, bytes: 696, type: "record" },
  options: { offset: 696, bytes: 2532, type: "record" },
  gap: { offset: 3228, bytes: 4, type: "bytes" },
  entries: { offset: 3232, bytes: 8192, type: "records" },
} as const;

export const TotalsRecord = {
  bytes: 56,
  traffic: { offset: 0, bytes: 32, type: "record" },
  parts_in: { offset: 32, bytes: 8, type: "u64" },
  commands_in: { offset: 40, bytes: 8, type: "u64" },
  commands_out: { offset: 48, bytes: 8, type: "u64" },
} as const;

export const TrafficRecord = {
  bytes: 32,
  messages_in: { offset: 0, bytes: 8, type: "u64" },
  bytes_in: { offset: 8, bytes: 8, type: "u64" },
  messages_out: { offset: 16, bytes: 8, type: "u64" },
  bytes_out: { offset: 24, bytes: 8, type: "u64" },
} as const;

/** In the order of the probes' record numbers. */
export const records = [
  AddressRecord,
  AuthenticationRecord,
  BackendRecord,
  ConnectRecord,
  ContextRecord,
  ContextStatsRecord,
  EventRecord,
  MonitorEventRecord,
  PeerRecord,
  PeerStatsRecord,
  QueuesRecord,
  SecurityRecord,
  EntryRecord,
  CursorRecord,
  SocketRecord,
  SocketOptionsRecord,
  ProxySideRecord,
  ProxyStatisticsRecord,
  SharedRecord,
  TotalsRecord,
  TrafficRecord,
] as const;

export const Backend = {
  automatic: 0,
  io_uring: 1,
  epoll: 2,
} as const;

export const BackendWake = {
  eventfd: 0,
  aio: 1,
  thread: 2,
} as const;

export const BackendStep = {
  none: 0,
  choice: 1,
  set_up: 2,
  eventfd_flag: 3,
  first_poll: 4,
  eventfd: 5,
} as const;

export const Status = {
  OK: 0,
  EPERM: -1,
  ENOENT: -2,
  EIO: -5,
  EBADF: -9,
  EAGAIN: -11,
  ENOMEM: -12,
  EACCES: -13,
  ENODEV: -19,
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
  EHOSTUNREACH: -113,
  EFSM: -156384763,
} as const;

export const SocketType = {
  pair: 0,
  pub: 1,
  sub: 2,
  req: 3,
  rep: 4,
  dealer: 5,
  router: 6,
  pull: 7,
  push: 8,
  xpub: 9,
  xsub: 10,
  stream: 11,
  server: 12,
  client: 13,
  radio: 14,
  dish: 15,
  gather: 16,
  scatter: 17,
  peer: 19,
  channel: 20,
} as const;

export const EventKind = {
  none: 0,
  ready: 1,
  buffer: 2,
  resolve: 3,
  abandoned: 4,
  closed: 5,
  authenticate: 6,
} as const;

export const Mechanism = {
  null: 0,
  plain: 1,
  curve: 2,
} as const;

export const MonitorEventType = {
  listening: 1,
  accepted: 2,
  accept_failed: 3,
  connect_delayed: 4,
  connected: 5,
  connect_retried: 6,
  connect_failed: 7,
  handshake_succeeded: 8,
  handshake_failed_protocol: 9,
  handshake_failed_auth: 10,
  handshake_failed_other: 11,
  disconnected: 12,
  closed: 13,
  close_failed: 14,
  connect_stopped: 15,
} as const;

export const MonitorCommand = {
  stop: 0,
  start: 1,
  end: 2,
} as const;

export const ProtocolCode = {
  zmtp_unspecified: 268435456,
  unexpected_command: 268435457,
  invalid_sequence: 268435458,
  key_exchange: 268435459,
  malformed_command: 268435473,
  malformed_message: 268435474,
  malformed_hello: 268435475,
  malformed_initiate: 268435476,
  malformed_error: 268435477,
  malformed_ready: 268435478,
  malformed_welcome: 268435479,
  invalid_metadata: 268435480,
  cryptographic: 285212673,
  mechanism_mismatch: 285212674,
  zap_unspecified: 536870912,
  zap_malformed_reply: 536870913,
  zap_bad_request_id: 536870914,
  zap_bad_version: 536870915,
  zap_invalid_status: 536870916,
  zap_invalid_metadata: 536870917,
  websocket_unspecified: 805306368,
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
  heartbeat_timeout: 16,
  source_in_use: 32,
  source_unavailable: 33,
  interface_not_permitted: 34,
  interface_missing: 35,
  proxy_unreachable: 36,
  proxy_timed_out: 37,
  proxy_closed: 38,
  proxy_malformed: 39,
  proxy_method_refused: 40,
  proxy_credentials_refused: 41,
  proxy_general_failure: 42,
  proxy_not_allowed: 43,
  proxy_network_unreachable: 44,
  proxy_host_unreachable: 45,
  proxy_connection_refused: 46,
  proxy_ttl_expired: 47,
  proxy_command_unsupported: 48,
  proxy_address_unsupported: 49,
  proxy_refused: 50,
  duplicate_routing_id: 51,
  handed_over: 52,
  peer_refused: 53,
  too_many_subscriptions: 54,
  slow_peer: 55,
  too_many_handshakes: 56,
  too_many_connections: 57,
  message_too_large: 58,
  message_not_secured: 59,
  message_malformed: 60,
  message_replayed: 61,
  message_forged: 62,
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
  malformed_hello: 77,
  malformed_welcome: 78,
  malformed_initiate: 79,
  key_exchange: 80,
  invalid_sequence: 81,
  cryptographic: 82,
  authentication_retry: 83,
  authentication_denied: 84,
  authentication_error: 85,
  authentication_unavailable: 86,
  zap_unspecified: 87,
  zap_malformed_reply: 88,
  zap_bad_request_id: 89,
  zap_bad_version: 90,
  zap_invalid_status: 91,
  zap_invalid_metadata: 92,
  hello_refused: 93,
} as const;

export const BytesOption = {
  welcome_message: 0,
  hello_message: 1,
  disconnect_message: 2,
  hiccup_message: 3,
} as const;

export const ProxyCommand = {
  run: 0,
  pause: 1,
  end: 2,
  end_now: 3,
} as const;

export const SEND_MORE = 1;
export const SEND_HOLD = 2;
export const INTEREST_READABLE = 1;
export const INTEREST_WRITABLE = 2;
export const INTEREST_CONNECTED = 4;
export const INTEREST_SUBSCRIBED = 8;
export const INTEREST_DRAINED = 16;
export const TICK_MORE = 1;
export const TICK_EVENTS = 2;
export const TICK_STARVED = 4;
export const TICK_SOON = 8;
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
export const PEERS_BATCH = 32;
