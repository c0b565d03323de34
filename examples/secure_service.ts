// A service that knows its clients: CURVE, an Authenticator that watches a directory of keys, and new keys
// while it runs. `bun examples/secure_service.ts` plays all parts in one process; each would be a program of
// its own, with the certificates brought there by whatever brings secrets to programs.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Authenticator, readCurveCertificate, Request, Router, writeCurveCertificate } from "monocoque"

const directory = mkdtempSync(join(tmpdir(), "secure-service-"))
const clients = join(directory, "clients")
mkdirSync(clients)

// ---- Whoever runs the service makes keys, and lets clients in by a file -----------------------

/** Each party makes its own pair, where it will be used: the secret half goes nowhere. */
function makeKeys(name: string) {
  const { secretFile } = writeCurveCertificate(directory, name)
  return readCurveCertificate(secretFile) as { publicKey: string; secretKey: string }
}

const letIn = (name: string) => copyFileSync(join(directory, `${name}.key`), join(clients, `${name}.key`))
const keepOut = (name: string) => rmSync(join(clients, `${name}.key`))

// ---- The service ------------------------------------------------------------------------------

/** Answers everybody by the name of the file that let them in, whatever they call themselves. */
async function serve(socket: Router): Promise<void> {
  for await (const message of socket) {
    const [client, delimiter, question] = message
    await socket.send([client!, delimiter!, `${socket.peerOf(message)?.userId}, you asked: ${question}`])
  }
}

// ---- A client ---------------------------------------------------------------------------------

class Client implements Disposable {
  readonly socket: Request

  constructor(keys: { publicKey: string; secretKey: string }, serverKey: string, endpoint: string) {
    this.socket = new Request({
      curveServerKey: serverKey,
      curvePublicKey: keys.publicKey,
      curveSecretKey: keys.secretKey,
      linger: 0,
    })
    this.socket.connect(endpoint)
  }

  /** The answer, or what became of the question. */
  async ask(question: string): Promise<string> {
    const { events } = this.socket
    const refused = new Promise<string>((resolve) => {
      events.once("handshake:error:auth", ({ error }) => resolve(`refused (${error.status})`))
    })
    await this.socket.send(question)
    return Promise.race([this.socket.receive().then(([answer]) => `${answer}`), refused])
  }

  [Symbol.dispose]() {
    this.socket.close()
  }
}

// ---- What happens -----------------------------------------------------------------------------

const server = makeKeys("server")
const alice = makeKeys("alice")
letIn("alice")

using authenticator = new Authenticator({ curveKeys: clients })
await using service = new Router({
  curveServer: true,
  curveSecretKey: server.secretKey,
  authenticate: authenticator,
  linger: 0,
})
await service.bind("tcp://127.0.0.1:*")
const endpoint = service.lastEndpoint!
const serving = serve(service)

using first = new Client(alice, server.publicKey, endpoint)
console.log("1.", await first.ask("who am I?"))

const bob = makeKeys("bob")
using stranger = new Client(bob, server.publicKey, endpoint)
console.log("2. bob is", await stranger.ask("may I?"))

// A file more, and he may: within a second, without a restart.
letIn("bob")
while (authenticator.stats().keys !== 2) await Bun.sleep(10)
using known = new Client(bob, server.publicKey, endpoint)
console.log("3.", await known.ask("and now?"))

// A new key for the service. Who is connected stays so; who connects from now on needs the new one. (Where
// not a single attempt may fail, a second Router is bound to another port with it, and clients move there.)
const next = makeKeys("server-2")
service.curveSecretKey = next.secretKey
console.log("4.", await first.ask("are we still connected?"))
using later = new Client(alice, next.publicKey, endpoint)
console.log("5.", await later.ask("is this the new key?"))

// A file less. It ends no connection that is there: it opens no other one.
keepOut("bob")
while (authenticator.stats().keys !== 1) await Bun.sleep(10)
using late = new Client(bob, next.publicKey, endpoint)
console.log("6. bob is", await late.ask("again?"))
console.log("7.", authenticator.stats().allowed, "let in,", authenticator.stats().denied, "refused")

service.close()
await serving
rmSync(directory, { recursive: true })
