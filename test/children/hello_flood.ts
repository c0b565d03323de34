// Connects as often as it is told, says a valid HELLO of CURVE each time, and leaves with the WELCOME:
// all that a stranger can make a server compute. Says at the end what came of it.

/** What the program is told, as JSON. */
export interface Flood {
  port: number;
  /** Whole frames, in base64. */
  hellos: string[];
  perSecond: number;
  seconds: number;
  /** Connections that wait for an answer, at most. */
  openMax: number;
}

/** What it says. */
export interface Flooded {
  connections: number;
  welcomes: number;
  seconds: number;
}

const flood: Flood = JSON.parse(process.argv[2]!);

const greeting = Buffer.alloc(64);
greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1]);
greeting.write("CURVE", 12, "latin1");
const first = flood.hellos.map((hello) => Buffer.concat([greeting, Buffer.from(hello, "base64")]));

/** Of greeting and WELCOME. */
const answer = 64 + 2 + 168;
let [connections, welcomes, open] = [0, 0, 0];

function attack(): void {
  const hello = first[connections % first.length]!;
  // A port can be used again only after a minute, an address beside it at once.
  const hostname = `127.0.0.${1 + (connections % 200)}`;
  let received = 0;
  connections += 1;
  open += 1;
  const gone = () => {
    open -= 1;
  };
  Bun.connect({
    hostname,
    port: flood.port,
    socket: {
      open: (socket) => void socket.write(hello),
      data(socket, { length }) {
        received += length;
        if (received < answer) return;
        welcomes += 1;
        socket.terminate();
      },
      close: gone,
    },
  }).catch(gone);
}

const begin = performance.now();
const elapsed = () => (performance.now() - begin) / 1000;
process.stdout.write("begun\n");
while (elapsed() < flood.seconds) {
  const due = elapsed() * flood.perSecond - connections;
  for (let i = 0; i < due && open < flood.openMax; i += 1) attack();
  await Bun.sleep(1);
}
const flooded: Flooded = { connections, welcomes, seconds: elapsed() };
process.stdout.write(`${JSON.stringify(flooded)}\n`);
process.exit(0);
