// Where the effect of each option is tested: no option is a setter without one. A test of
// test/options.test.ts looks that every option is here, and the test where this says.

import type { OptionName } from "../../src/options.ts";

const kernel = "sockets/kernel_options.test.ts";
const socks = "sockets/socks.test.ts";
const beats = "sockets/heartbeats.test.ts";
const redials = "sockets/reconnect.test.ts";
const limits = "hostile/limits.test.ts";
const own = "sockets/options_effect.test.ts";
const marks = "sockets/flow_bytes.test.ts";
const secured = "security/options.test.ts";
const asked = "security/authenticate.test.ts";
const handled = "security/zap_handler.test.ts";
const topics = "sockets/options_effect_topics.test.ts";
const requests = "sockets/request_reply.test.ts";

/** [file below test/, a part of the test's title] */
export const optionEffects: Record<OptionName, readonly [file: string, test: string]> = {
  linger: ["lifecycle.test.ts", "for a peer that is not there hold the process for their linger"],
  reconnectInterval: ["sockets/events.test.ts", "comes with the interval and the reason"],
  reconnectMaxInterval: ["sockets/events.test.ts", "has intervals that grow up to"],
  reconnectStop: [redials, "connectionRefused stops with the first refusal"],
  permanentFailure: [redials, "keep goes on queueing, as libzmq does"],
  heartbeatInterval: [beats, "a peer that answers nothing is taken for dead"],
  heartbeatTimeout: [beats, "heartbeatTimeout is what a silent peer has"],
  heartbeatTimeToLive: [beats, "is told to the peer, which acts on it"],
  connectionsMax: [limits, "lets as many in as it says"],
  handshakesMax: [limits, "0 lets all of them wait"],
  messagePartsMax: [limits, "%s ends the connection of who sends more"],
  messageBytesMax: [limits, "%s ends the connection of who sends more"],
  backlog: [kernel, "a listener lets as many wait as the backlog says"],
  connectTimeout: [kernel, "connectTimeout ends an attempt that gets no answer"],
  tcpKeepalive: [kernel, "keep-alive, with its three parameters"],
  tcpKeepaliveCount: [kernel, "keep-alive, with its three parameters"],
  tcpKeepaliveIdle: [kernel, "keep-alive, with its three parameters"],
  tcpKeepaliveInterval: [kernel, "keep-alive, with its three parameters"],
  tcpMaxRetransmitTimeout: [kernel, "a limit for what is not acknowledged"],
  typeOfService: [kernel, "a type of service"],
  priority: [kernel, "a priority, also next to a type of service"],
  busyPoll: [kernel, "a time for the kernel to spin"],
  interface: [kernel, "the interface they were told to use"],
  useFd: ["sockets/libzmq_endpoints.test.ts", "a tcp descriptor that listens is taken over"],
  socksProxy: [socks, "a name is sent unresolved: only the proxy may know it"],
  socksUsername: [socks, "a password that was not set is an empty one"],
  socksPassword: [socks, "the password is wrong"],
  plainServer: [handled, "PLAIN without a domain"],
  plainUsername: [asked, "it is asked who comes, truly"],
  plainPassword: [asked, "it is asked who comes, truly"],
  curveServer: [secured, "a Pull with CURVE gets no message from one without"],
  curvePublicKey: [secured, "one after the other are taken together"],
  curveSecretKey: [secured, "count for new connections, at the endpoint that is there"],
  curveServerKey: [secured, "count for new connections, at the endpoint that is there"],
  zapDomain: [handled, "NULL with a domain"],
  zapEnforceDomain: [handled, "NULL with a domain that is not enforced"],
  authenticate: [asked, "lets the peer in"],
  authenticateTimeout: [asked, "no answer in time is no"],
  authenticateMax: [asked, "are authenticateMax at a time"],
  immediate: ["sockets/flow.test.ts", "with immediate queues only for a peer that is there"],
  ipv6: ["sockets/endpoints.test.ts", "of an IPv6 address has brackets"],
  concurrency: ["sockets/waiting.test.ts", "closing ends all of them"],
  sendBufferSize: [kernel, "buffers of that size over %s"],
  sendHighWaterMark: ["sockets/flow.test.ts", "count messages, not parts"],
  sendHighWaterMarkBytes: [marks, "holds a sender whose peer is not there"],
  receiveHighWaterMarkBytes: [marks, "keeps for later"],
  sendHighWaterMarkPolicy: [marks, "disconnect: it loses its connection"],
  sendTimeout: ["sockets/waiting.test.ts", "rejects with EAGAIN after sendTimeout"],
  receiveBufferSize: [kernel, "buffers of that size over %s"],
  receiveHighWaterMark: [kernel, "a raised one of the receiver lets the sender's messages in"],
  receiveTimeout: ["sockets/waiting.test.ts", "waits as long as it was told, by the option"],
  detached: ["sockets/messages.test.ts", "has memory of its own"],
  handshakeInterval: ["hostile/handshake.test.ts", "a silent connection is dropped in time"],
  maxMessageSize: [kernel, "maxMessageSize ends the connection of who sends more"],
  metadata: [own, "tells the peer of the metadata"],
  routingId: [own, "is announced to a Router by probeRouter"],
  probeRouter: [own, "is announced to a Router by probeRouter"],
  conflate: [own, "conflate keeps the newest message only"],
  correlate: [requests, "asks again with relaxed and correlate, and the late answer is dropped"],
  relaxed: [requests, "asks again with relaxed alone"],
  mandatory: [own, "mandatory: a message for nobody is an error"],
  handover: [own, "handover: who comes with the id of another takes its place"],
  notifyPeers: [own, "notifyPeers: %s tells a Router of its peers"],
  helloMessage: [own, "is greeted with the helloMessage, and so is the next"],
  disconnectMessage: [own, "is received by a Router as the disconnectMessage"],
  hiccupMessage: [own, "is received by a Dealer that had connected as the hiccupMessage"],
  notify: [own, "tells of a connection and its end with empty bytes"],
  noDrop: [topics, "noDrop: send waits for the slowest subscriber"],
  verbosity: [topics, "allSubsUnsubs tells of every cancel too"],
  manual: [topics, "lets the publisher decide what its peers are subscribed to"],
  welcomeMessage: [topics, "welcomeMessage is what a new subscriber receives first"],
  invertMatching: [topics, "invertMatching sends, and takes, what matches no subscription"],
  onlyFirstSubscribe: [topics, "takes the later parts of a message for data"],
  verboseUnsubscribe: [topics, "verboseUnsubscribe sends every cancel, not only the last"],
  subscriptionsMax: [topics, "%s bounds what one subscriber may ask for"],
  subscriptionBytesMax: [topics, "%s bounds what one subscriber may ask for"],
};
