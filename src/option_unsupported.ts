// Options of libzmq and zeromq.js that are not there, and why: to accept one that does nothing would
// be a lie.

export interface Unsupported {
  /** The libzmq option, or the first words of a group of them. */
  zmq: string;
  /** Why it is not there, and what is instead. */
  reason: string;
}

const group = (zmq: string, reason: string, ...names: string[]): Record<string, Unsupported> =>
  Object.fromEntries(names.map((name) => [name, { zmq: `ZMQ_${zmq}`, reason }]));

const gssapi = "use curve (GSSAPI needs Kerberos on both ends)";
const multicast = "pgm:// and epgm:// are not supported, and udp:// comes in a later version";
const vmci = "vmci:// is not supported";
const norm = "norm:// is not supported";
const wss = "wss:// is not supported";
const batches = "batches adapt themselves to the traffic";
const filter = "deprecated in libzmq; use a firewall, or the permissions of the ipc path";

/** By zeromq.js's name, or by what it would be called there. */
export const unsupportedOptions: Readonly<Record<string, Unsupported>> = {
  ...group("AFFINITY", "there are no I/O threads: a socket is served by its own", "affinity"),
  ...group("RATE", multicast, "rate"),
  ...group("RECOVERY_IVL", multicast, "recoveryInterval"),
  ...group("MULTICAST_HOPS", multicast, "multicastHops"),
  ...group("MULTICAST_LOOP", multicast, "multicastLoop"),
  ...group("MULTICAST_MAXTPDU", multicast, "multicastMaxTransportDataUnit"),
  ...group("GSSAPI_SERVER", gssapi, "gssapiServer"),
  ...group("GSSAPI_PRINCIPAL", gssapi, "gssapiPrincipal"),
  ...group("GSSAPI_SERVICE_PRINCIPAL", gssapi, "gssapiServicePrincipal"),
  ...group("GSSAPI_PLAINTEXT", gssapi, "gssapiPlainText"),
  ...group("GSSAPI_PRINCIPAL_NAMETYPE", gssapi, "gssapiPrincipalNameType"),
  ...group("GSSAPI_SERVICE_PRINCIPAL_NAMETYPE", gssapi, "gssapiServicePrincipalNameType"),
  ...group("VMCI_BUFFER_SIZE", vmci, "vmciBufferSize"),
  ...group("VMCI_BUFFER_MIN_SIZE", vmci, "vmciBufferMinSize"),
  ...group("VMCI_BUFFER_MAX_SIZE", vmci, "vmciBufferMaxSize"),
  ...group("VMCI_CONNECT_TIMEOUT", vmci, "vmciConnectTimeout"),
  ...group("NORM_MODE and its kind", norm, "normMode"),
  ...group("WSS_KEY_PEM and its kind", wss, "wssKeyPem"),
  ...group("IN_BATCH_SIZE", batches, "inBatchSize"),
  ...group("OUT_BATCH_SIZE", batches, "outBatchSize"),
  ...group("LOOPBACK_FASTPATH", "it is for Windows", "loopbackFastPath"),
  ...group("TCP_ACCEPT_FILTER", filter, "tcpAcceptFilter"),
  ...group("IPC_FILTER_PID", filter, "ipcFilterProcessId"),
  ...group("IPC_FILTER_UID", filter, "ipcFilterUserId"),
  ...group("IPC_FILTER_GID", filter, "ipcFilterGroupId"),
  ...group("ROUTER_RAW", "deprecated in libzmq; use a Stream", "routerRaw"),
  ...group("IPV4ONLY", "deprecated in libzmq; use ipv6", "ipv4only"),
  ...group("CONNECT_ROUTING_ID", "use connect(address, { routingId })", "connectRoutingId"),
  ...group("FD", "there is nothing to poll: await receive or send", "fd"),
  ...group("RCVMORE", "a message is received whole", "receiveMore"),
};
