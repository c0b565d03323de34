// Keys and passwords, as sockets of ours and of libzmq are told them. Each side has made its own keys.

import { curveKeyPair, type CurveKeyPair } from "../../src/index.ts";
import type { SecurityOptions } from "../../src/option_groups.ts";
import { type PeerOptions, program } from "./peer.ts";

export type Mechanism = "CURVE" | "PLAIN";
export type Part = "server" | "client";

/** A peer that cannot speak CURVE proves nothing, and must not do so silently. */
function keysOfLibzmq(): CurveKeyPair {
  const { stdout, exitCode } = Bun.spawnSync([program("libzmq_peer"), "keys"]);
  const [publicKey, secretKey] = stdout.toString().trim().split(" ");
  if (exitCode !== 0 || publicKey?.length !== 40 || secretKey?.length !== 40) {
    throw new Error("libzmq has no CURVE here: these tests need Debian's, or one built with libsodium");
  }
  return { publicKey, secretKey };
}

/** Long-term keys. */
export const server: CurveKeyPair = keysOfLibzmq();
export const client: CurveKeyPair = curveKeyPair();
export const stranger: CurveKeyPair = keysOfLibzmq();

export const user = "admin";
export const password = "pa55word, of some length";

/** A client's half, as options of our sockets; another secret gets nowhere. */
export const clientOptions = {
  CURVE: {
    curveServerKey: server.publicKey,
    curvePublicKey: client.publicKey,
    curveSecretKey: client.secretKey,
  },
  PLAIN: { plainUsername: user, plainPassword: password },
} as const satisfies Record<Mechanism, SecurityOptions>;

/** A server's half; it lets in nobody but that client. */
export const serverOptions = {
  CURVE: {
    curveServer: true,
    curveSecretKey: server.secretKey,
    authenticate: ({ credentials }) => credentials.publicKey === client.publicKey,
  },
  PLAIN: {
    plainServer: true,
    authenticate: ({ credentials }) =>
      credentials.username === user && credentials.password === password,
  },
} as const satisfies Record<Mechanism, SecurityOptions>;

/** The same for a socket of libzmq. */
export const libzmqClient = {
  CURVE: {
    "curve-server-key": server.publicKey,
    "curve-public": client.publicKey,
    "curve-secret": client.secretKey,
  },
  PLAIN: { "plain-user": user, "plain-password": password },
} as const satisfies Record<Mechanism, PeerOptions>;

export const libzmqServer = {
  CURVE: {
    "curve-server": server.secretKey,
    "zap-domain": "interop",
    zap: "200",
    "zap-key": client.publicKey,
  },
  PLAIN: { "plain-server": true, zap: "200", "zap-user": user, "zap-password": password },
} as const satisfies Record<Mechanism, PeerOptions>;

/** Both halves of a link on which we have this part. */
export function bothHalves(
  mechanism: Mechanism,
  part: Part,
): { ours: SecurityOptions; theirs: PeerOptions } {
  return part === "server"
    ? { ours: serverOptions[mechanism], theirs: libzmqClient[mechanism] }
    : { ours: clientOptions[mechanism], theirs: libzmqServer[mechanism] };
}
