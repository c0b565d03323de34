// A SOCKS5 server (RFC 1928, 1929) that writes down what it is asked for, and can be made to answer
// in pieces, late or wrongly.

import type { Socket, TCPSocketListener } from "bun";

/** What one client asked for. */
export interface Asked {
  methods: number[];
  username?: string;
  password?: string;
  /** 1 IPv4, 3 a name, 4 IPv6. */
  kind?: number;
  host?: string;
  port?: number;
}

export interface ServerOptions {
  port?: number;
  hostname?: string;
  /** Without it nobody has to say who they are. */
  credentials?: { username: string; password: string };
  /** The code of the answer to a request; 0 lets it through. */
  code?: number;
  /** Milliseconds before each answer. */
  delayMs?: number;
  /** One byte at a time, so many milliseconds apart. */
  bytewiseMs?: number;
  /** The first answer, whatever was asked. */
  garbage?: Uint8Array;
  /** Which address a name has; the proxy is the one that knows. */
  names?: Record<string, string>;
}

interface Client {
  asked: Asked;
  received: Buffer;
  state: "methods" | "credentials" | "request" | "connecting" | "through";
  answers: Promise<void>;
  target?: Socket<undefined>;
}

export class SocksServer implements Disposable {
  readonly asked: Asked[] = [];
  /** Connections to targets that were made. */
  through = 0;
  /** May be changed while it runs. */
  readonly options: ServerOptions;
  readonly #listener: TCPSocketListener<Client>;

  constructor(options: ServerOptions = {}) {
    this.options = options;
    this.#listener = Bun.listen<Client>({
      hostname: options.hostname ?? "127.0.0.1",
      port: options.port ?? 0,
      socket: {
        open: (socket) => {
          const asked: Asked = { methods: [] };
          this.asked.push(asked);
          socket.data = {
            asked,
            received: Buffer.alloc(0),
            state: "methods",
            answers: Promise.resolve(),
          };
        },
        data: (socket, bytes) => {
          const client = socket.data;
          client.received = Buffer.concat([client.received, bytes]);
          while (this.#step(socket, client));
        },
        close: (socket) => void socket.data?.target?.end(),
        error: (socket) => void socket.data?.target?.end(),
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Takes one message of the client, if it is there in full. */
  #step(socket: Socket<Client>, client: Client): boolean {
    const { received } = client;
    if (client.state === "through") {
      client.target?.write(received);
      client.received = Buffer.alloc(0);
      return false;
    }
    if (client.state === "methods") return this.#methods(socket, client);
    if (client.state === "credentials") return this.#credentials(socket, client);
    if (client.state === "request") return this.#request(socket, client);
    return false;
  }

  #methods(socket: Socket<Client>, client: Client): boolean {
    const { received, asked } = client;
    if (received.length < 2 || received.length < 2 + received[1]!) return false;
    asked.methods = [...received.subarray(2, 2 + received[1]!)];
    client.received = received.subarray(2 + received[1]!);
    const { garbage, credentials } = this.options;
    if (garbage) {
      this.#answer(socket, garbage);
      return false;
    }
    const method = credentials ? 2 : 0;
    const known = asked.methods.includes(method);
    client.state = credentials ? "credentials" : "request";
    this.#answer(socket, [5, known ? method : 0xff]);
    return known;
  }

  #credentials(socket: Socket<Client>, client: Client): boolean {
    const { received, asked } = client;
    const name = received[1] ?? 0;
    if (received.length < 3 + name) return false;
    const end = 3 + name + received[2 + name]!;
    if (received.length < end) return false;
    asked.username = received.toString("utf8", 2, 2 + name);
    asked.password = received.toString("utf8", 3 + name, end);
    client.received = received.subarray(end);
    client.state = "request";
    const { credentials } = this.options;
    const good =
      asked.username === credentials?.username && asked.password === credentials.password;
    this.#answer(socket, [1, good ? 0 : 1]);
    if (!good) void client.answers.then(() => socket.end());
    return good;
  }

  #request(socket: Socket<Client>, client: Client): boolean {
    const { received, asked } = client;
    if (received.length < 5) return false;
    const kind = received[3]!;
    const size = kind === 1 ? 4 : kind === 4 ? 16 : 1 + received[4]!;
    if (received.length < 4 + size + 2) return false;
    const address = received.subarray(4, 4 + size);
    asked.kind = kind;
    asked.host = hostOf(kind, address);
    asked.port = received.readUInt16BE(4 + size);
    client.received = received.subarray(4 + size + 2);
    client.state = "connecting";
    void this.#connect(socket, client, asked.host, asked.port);
    return false;
  }

  async #connect(socket: Socket<Client>, client: Client, host: string, port: number) {
    const code = this.options.code ?? 0;
    if (code !== 0) return this.#answer(socket, [5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    try {
      client.target = await Bun.connect({
        hostname: this.options.names?.[host] ?? host,
        port,
        socket: {
          data: (_, bytes) => {
            // After the answer, however slowly that leaves.
            const copy = Buffer.from(bytes);
            client.answers = client.answers.then(() => void socket.write(copy));
          },
          close: () => void socket.end(),
        },
      });
    } catch {
      return this.#answer(socket, [5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    this.through += 1;
    this.#answer(socket, [5, 0, 0, 1, 127, 0, 0, 1, 0, 80]);
    client.state = "through";
    while (this.#step(socket, client));
  }

  #answer(socket: Socket<Client>, bytes: Iterable<number>): void {
    const client = socket.data;
    client.answers = client.answers.then(() => this.#write(socket, Uint8Array.from(bytes)));
  }

  async #write(socket: Socket<Client>, bytes: Uint8Array): Promise<void> {
    const { delayMs, bytewiseMs } = this.options;
    if (delayMs) await Bun.sleep(delayMs);
    if (bytewiseMs === undefined) return void socket.write(bytes);
    for (const byte of bytes) {
      socket.write(Uint8Array.of(byte));
      await Bun.sleep(bytewiseMs);
    }
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
  }
}

function hostOf(kind: number, address: Buffer): string {
  if (kind === 1) return address.join(".");
  if (kind === 3) return address.toString("utf8", 1);
  const groups = Array.from({ length: 8 }, (_, i) => address.readUInt16BE(i * 2).toString(16));
  return groups.join(":");
}
