// ZAP, the protocol between a socket that has to decide about a peer and the handler that does
// (RFC 27): the frames of a request and of a reply. The request is ours; the reply is somebody's, so
// nothing in it is believed.

/** What a handler is asked, whatever it is. */
export interface ZapRequest {
  /** Of the socket (`zapDomain`); may be empty. */
  domain: string;
  /** Of the peer: an IP address without port; empty for ipc. */
  address: string;
  /** The routing id of the socket that asks. */
  identity: Uint8Array;
  mechanism: "NULL" | "PLAIN" | "CURVE";
  /** User name and password, or the public key in 32 bytes, or nothing. */
  credentials: readonly Uint8Array[];
}

/** What a handler answered. */
export interface ZapReply {
  status: 200 | 300 | 400 | 500;
  text: string;
  userId: Buffer;
  /** Name and value, as in READY. */
  metadata: Map<string, Buffer>;
}

/** Why a reply is none: libzmq's names of its protocol errors. */
export type ZapFault =
  | "ERR_ZAP_UNSPECIFIED"
  | "ERR_ZAP_MALFORMED_REPLY"
  | "ERR_ZAP_BAD_REQUEST_ID"
  | "ERR_ZAP_BAD_VERSION"
  | "ERR_ZAP_INVALID_STATUS_CODE"
  | "ERR_ZAP_INVALID_METADATA";

/** The endpoint of the handler. */
export const ZAP_ENDPOINT = "inproc://zeromq.zap.01";

const VERSION = "1.0";

/** Of 255 bytes, like a routing id: it goes into events and messages. */
const USER_ID_BYTES_MAX = 255;
/** As much as READY of ours may hold. */
const METADATA_BYTES_MAX = 64 * 1024;

/** The parts of a request behind the empty delimiter. */
export function encodeZapRequest(id: string, request: ZapRequest): (string | Uint8Array)[] {
  const { domain, address, identity, mechanism, credentials } = request;
  return [VERSION, id, domain, address, identity, mechanism, ...credentials];
}

/** Reads the parts of a reply behind the empty delimiter. */
export function parseZapReply(id: string, parts: readonly Buffer[]): ZapReply | ZapFault {
  if (parts.length !== 6) return "ERR_ZAP_MALFORMED_REPLY";
  const [version, replied, code, text, userId, properties] = parts as [
    Buffer, Buffer, Buffer, Buffer, Buffer, Buffer,
  ];
  if (version.toString("latin1") !== VERSION) return "ERR_ZAP_BAD_VERSION";
  if (replied.toString("latin1") !== id) return "ERR_ZAP_BAD_REQUEST_ID";
  const status = statuses.get(code.toString("latin1"));
  if (status === undefined) return "ERR_ZAP_INVALID_STATUS_CODE";
  // Two of them that are no text would be the same one when they are made text.
  if (userId.length > USER_ID_BYTES_MAX || !isText(userId)) return "ERR_ZAP_MALFORMED_REPLY";
  const metadata = parseMetadata(properties);
  if (metadata === undefined) return "ERR_ZAP_INVALID_METADATA";
  return { status, text: text.toString("utf8"), userId, metadata };
}

function isText(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString()).equals(bytes);
}

const statuses = new Map<string, ZapReply["status"]>([
  ["200", 200],
  ["300", 300],
  ["400", 400],
  ["500", 500],
]);

/** Length in one byte and name, length in four and value, again and again (RFC 23). */
function parseMetadata(bytes: Buffer): Map<string, Buffer> | undefined {
  if (bytes.length > METADATA_BYTES_MAX) return undefined;
  const metadata = new Map<string, Buffer>();
  let at = 0;
  while (at < bytes.length) {
    const nameEnd = at + 1 + bytes[at]!;
    if (nameEnd === at + 1 || nameEnd + 4 > bytes.length) return undefined;
    const name = bytes.toString("latin1", at + 1, nameEnd);
    const end = nameEnd + 4 + bytes.readUInt32BE(nameEnd);
    if (end > bytes.length) return undefined;
    if (!/^[\w\-.+]+$/.test(name) || metadata.has(name)) return undefined;
    metadata.set(name, bytes.subarray(nameEnd + 4, end));
    at = end;
  }
  return metadata;
}
