// The sockets that libzmq calls drafts: `import { Server } from "monocoque/draft"`. Their wire
// format is that of libzmq's draft build.

export type {
  ChannelOptions,
  ClientOptions,
  DishOptions,
  GatherOptions,
  PeerOptions,
  RadioOptions,
  ScatterOptions,
  ServerOptions,
} from "./options.ts";
export { Channel } from "./sockets/channel.ts";
export { Client } from "./sockets/client.ts";
export { Dish } from "./sockets/dish.ts";
export { Gather } from "./sockets/gather.ts";
export type { Group, GroupInfo, GroupOptions } from "./sockets/groups.ts";
export type { LabelledWritable } from "./sockets/labelled_writable.ts";
export type { NumberedPeerInfo, RoutingOptions } from "./sockets/numbered.ts";
export { Peer } from "./sockets/peer.ts";
export { Radio } from "./sockets/radio.ts";
export { Scatter } from "./sockets/scatter.ts";
export { Server } from "./sockets/server.ts";
export type { SinglePart } from "./sockets/single.ts";
