"""CurveZMQ once more, from the RFCs and without any library: slow, and independent of ours.

    curve_reference.py transcript
        The commands of one handshake and some messages, made with fixed keys and nonces: what
        zig/zmtp/curve_transcript.txt has to be.
    curve_reference.py server TYPE SECRET
    curve_reference.py client TYPE SECRET HOST:PORT SERVER_KEY
        One end of a real connection; keys in hexadecimal. It prints a line of JSON for each command of
        the peer, decrypted. Lines on its standard input are sent: flags (MORE 1, COMMAND 2) and the body
        in hexadecimal. It ends with its standard input, or with the connection.

Curve25519 is RFC 7748, Poly1305 RFC 8439; Salsa20, XSalsa20 and the boxes are as in "Cryptography in
NaCl". CURVE is RFC 26; sizes and nonces as in RFC 25 and libzmq."""

import json
import os
import socket
import sys
import threading
import zlib

# -- cryptography ----------------------------------------------------------------------------------

P = 2**255 - 19


def x25519(secret, point):
    k = int.from_bytes(bytes([secret[0] & 248]) + secret[1:31] + bytes([secret[31] & 127 | 64]), "little")
    u = int.from_bytes(point, "little") % 2**255
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a, b * b
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        e = aa - bb
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def public_of(secret):
    return x25519(secret, bytes([9]) + bytes(31))


QUARTERS = (
    (0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11),
    (0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14),
)
SIGMA = b"expand 32-byte k"


def words(data):
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]


def salsa_rounds(key, block):
    k, n, s = words(key), words(block), words(SIGMA)
    start = [s[0], *k[:4], s[1], *n, s[2], *k[4:], s[3]]
    x = start[:]
    for _ in range(10):
        for a, b, c, d in QUARTERS:
            for to, one, two, turn in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
                v = (x[one] + x[two]) & 0xFFFFFFFF
                x[to] ^= (v << turn | v >> (32 - turn)) & 0xFFFFFFFF
    return start, x


def bytes_of(numbers):
    return b"".join(n.to_bytes(4, "little") for n in numbers)


def hsalsa20(key, block):
    x = salsa_rounds(key, block)[1]
    return bytes_of([x[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)])


def stream(key, nonce, size):
    subkey, result = hsalsa20(key, nonce[:16]), b""
    for counter in range((size + 63) // 64):
        start, x = salsa_rounds(subkey, nonce[16:] + counter.to_bytes(8, "little"))
        result += bytes_of([(a + b) & 0xFFFFFFFF for a, b in zip(start, x)])
    return result[:size]


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i : i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def xor(a, b):
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def secretbox(message, nonce, key):
    mask = stream(key, nonce, 32 + len(message))
    box = xor(message, mask[32:])
    return poly1305(mask[:32], box) + box


def secretbox_open(box, nonce, key):
    mask = stream(key, nonce, 16 + len(box))
    if poly1305(mask[:32], box[16:]) != box[:16]:
        raise ValueError("a box that was not made with this key and nonce")
    return xor(box[16:], mask[32:])


def shared(public, secret):
    return hsalsa20(x25519(secret, public), bytes(16))


def nonce_of(prefix, counter):
    return prefix + (counter if isinstance(counter, bytes) else counter.to_bytes(8, "big"))


# -- commands --------------------------------------------------------------------------------------


def metadata(**properties):
    result = b""
    for name, value in properties.items():
        name = name.replace("_", "-").encode()
        result += bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value
    return result


class Client:
    def __init__(self, secret, server, random):
        self.secret, self.server, self.random = secret, server, random
        self.transient = random(32)
        self.traffic = (b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES")
        self.sent = 2

    def hello(self):
        key = shared(self.server, self.transient)
        box = secretbox(bytes(64), nonce_of(b"CurveZMQHELLO---", 1), key)
        return b"\5HELLO\1\0" + bytes(72) + public_of(self.transient) + (1).to_bytes(8, "big") + box

    def welcome(self, body):
        assert body[:8] == b"\7WELCOME" and len(body) == 168
        key = shared(self.server, self.transient)
        plain = secretbox_open(body[24:], b"WELCOME-" + body[8:24], key)
        self.server_transient, self.cookie = plain[:32], plain[32:]
        self.key = shared(self.server_transient, self.transient)
        return plain

    def initiate(self, data):
        nonce = self.random(16)
        vouched = public_of(self.transient) + self.server
        vouch = secretbox(vouched, b"VOUCH---" + nonce, shared(self.server_transient, self.secret))
        plain = public_of(self.secret) + nonce + vouch + data
        box = secretbox(plain, nonce_of(b"CurveZMQINITIATE", 2), self.key)
        return b"\x08INITIATE" + self.cookie + (2).to_bytes(8, "big") + box

    def ready(self, body):
        assert body[:6] == b"\5READY"
        return secretbox_open(body[14:], nonce_of(b"CurveZMQREADY---", body[6:14]), self.key)


class Server:
    def __init__(self, secret, random, cookie_key):
        self.secret, self.random, self.cookie_key = secret, random, cookie_key
        self.traffic = (b"CurveZMQMESSAGES", b"CurveZMQMESSAGEC")
        self.sent = 1

    def hello(self, body):
        assert body[:8] == b"\5HELLO\1\0" and len(body) == 200
        self.client_transient = body[80:112]
        self.hello_key = shared(self.client_transient, self.secret)
        nonce = nonce_of(b"CurveZMQHELLO---", body[112:120])
        return body[8:80] + secretbox_open(body[120:], nonce, self.hello_key)

    def welcome(self):
        self.transient = self.random(32)
        nonce = self.random(16)
        cookie = secretbox(self.client_transient + self.transient, b"COOKIE--" + nonce, self.cookie_key)
        self.cookie = nonce + cookie
        own = self.random(16)
        plain = public_of(self.transient) + self.cookie
        return b"\7WELCOME" + own + secretbox(plain, b"WELCOME-" + own, self.hello_key)

    def initiate(self, body):
        assert body[:9] == b"\x08INITIATE" and body[9:105] == self.cookie
        self.key = shared(self.client_transient, self.transient)
        plain = secretbox_open(body[113:], nonce_of(b"CurveZMQINITIATE", body[105:113]), self.key)
        self.client, nonce = plain[:32], plain[32:48]
        vouch = secretbox_open(plain[48:128], b"VOUCH---" + nonce, shared(self.client, self.transient))
        assert vouch == self.client_transient + public_of(self.secret)
        return plain[128:]

    def ready(self, data):
        box = secretbox(data, nonce_of(b"CurveZMQREADY---", 1), self.key)
        return b"\5READY" + (1).to_bytes(8, "big") + box


def frame(body, flags=0):
    size = len(body)
    if size < 256:
        return bytes([flags, size]) + body
    return bytes([flags | 2]) + size.to_bytes(8, "big") + body


def message(party, flags, body):
    """The frame; 0x04 is never in its flags."""
    party.sent += 1
    box = secretbox(bytes([flags]) + body, nonce_of(party.traffic[0], party.sent), party.key)
    return frame(b"\7MESSAGE" + party.sent.to_bytes(8, "big") + box)


def message_open(party, body):
    assert body[:8] == b"\7MESSAGE"
    return secretbox_open(body[16:], nonce_of(party.traffic[1], body[8:16]), party.key)


# -- the transcript --------------------------------------------------------------------------------


def transcript():
    draws = [0]

    def fixed(size):
        """The n-th draw is n0 n1 n2 and so on, in hexadecimal."""
        draws[0] += 1
        return bytes((16 * draws[0] + i) % 256 for i in range(size))

    server_secret, client_secret, cookie_key = fixed(32), fixed(32), fixed(32)
    client = Client(client_secret, public_of(server_secret), fixed)
    # The key of a cookie is the context's and the number of the connection: 1.
    server = Server(server_secret, fixed, hsalsa20(cookie_key, (1).to_bytes(16, "little")))

    def show(name, data):
        print(f"\n{name}")
        for at in range(0, len(data), 32):
            print(data[at : at + 32].hex())

    print("Made by test/interop/pyzmq/curve_reference.py, which tells of what.")
    hello = client.hello()
    show("HELLO", hello)
    server.hello(hello)
    welcome = server.welcome()
    show("WELCOME", welcome)
    client.welcome(welcome)
    initiate = client.initiate(metadata(Socket_Type=b"DEALER", Identity=b"me"))
    show("INITIATE", initiate)
    server.initiate(initiate)
    ready = server.ready(metadata(Socket_Type=b"ROUTER", Identity=b""))
    show("READY", ready)
    client.ready(ready)
    noise = bytes((i * i + i // 7) % 256 for i in range(3000))
    for name, party in (("client", client), ("server", server)):
        show(f"MESSAGE of the {name}, empty", message(party, 0, b""))
        show(f"MESSAGE of the {name}, hello and more", message(party, 1, b"hello"))
        show(f"MESSAGE of the {name}, a command", message(party, 2, b"\4PING\0\0"))
        show(f"MESSAGE of the {name}, 222 bytes", message(party, 0, noise[:222]))
        show(f"MESSAGE of the {name}, 223 bytes", message(party, 0, noise[:223]))
        show(f"MESSAGE of the {name}, 3000 bytes", message(party, 0, noise))


# -- a connection ----------------------------------------------------------------------------------


class Wire:
    def __init__(self, connection):
        self.connection = connection

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.connection.recv(min(65536, size - len(data)))
            if not piece:
                raise EOFError
            data += piece
        return data

    def frame(self):
        flags, size = self.read(2)
        if flags & 2:
            size = int.from_bytes(bytes([size]) + self.read(7), "big")
        return flags, self.read(size)


def say(**line):
    print(json.dumps(line), flush=True)


def shown(data):
    return data.hex() if len(data) <= 64 else f"crc {zlib.crc32(data)}"


def tell(name, flags, body, plain, start=None):
    start = {} if start is None else {"nonce": int.from_bytes(start, "big")}
    say(command=name, flags=flags, size=len(body), **start, plain=shown(plain))


def greet(wire, as_server):
    mine = b"\xff" + bytes(7) + b"\1\x7f\3\1" + b"CURVE".ljust(20, b"\0") + bytes([as_server]) + bytes(31)
    wire.connection.sendall(mine)
    theirs = wire.read(64)
    say(greeting={
        "signature": theirs[:1].hex() + theirs[9:10].hex(), "version": theirs[10:12].hex(),
        "mechanism": theirs[12:32].rstrip(b"\0").decode(), "filler": theirs[33:].hex(),
    })


def traffic(wire, party):
    def obey():
        for line in sys.stdin:
            flags, body = line.split()
            data = b"" if body == "-" else bytes.fromhex(body)
            wire.connection.sendall(message(party, int(flags), data))
        os._exit(0)

    threading.Thread(target=obey, daemon=True).start()
    while True:
        flags, body = wire.frame()
        plain = message_open(party, body)
        tell("MESSAGE", flags, body, plain, body[8:16])


def serve(kind, secret):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say(endpoint="tcp://127.0.0.1:%d" % listener.getsockname()[1])
        wire = Wire(listener.accept()[0])
    party = Server(secret, os.urandom, os.urandom(32))
    greet(wire, 1)
    flags, body = wire.frame()
    tell("HELLO", flags, body, party.hello(body), body[112:120])
    wire.connection.sendall(frame(party.welcome(), 4))
    flags, body = wire.frame()
    tell("INITIATE", flags, body, party.initiate(body), body[105:113])
    say(client=party.client.hex())
    wire.connection.sendall(frame(party.ready(metadata(Socket_Type=kind, Identity=b"")), 4))
    traffic(wire, party)


def connect(kind, secret, address, server):
    host, port = address.split(":")
    wire = Wire(socket.create_connection((host, int(port))))
    party = Client(secret, server, os.urandom)
    greet(wire, 0)
    wire.connection.sendall(frame(party.hello(), 4))
    flags, body = wire.frame()
    # What is inside is random.
    tell("WELCOME", flags, body, bytes(len(party.welcome(body))))
    wire.connection.sendall(frame(party.initiate(metadata(Socket_Type=kind, Identity=b"reference")), 4))
    flags, body = wire.frame()
    tell("READY", flags, body, party.ready(body), body[6:14])
    traffic(wire, party)


def main():
    mode, *rest = sys.argv[1:]
    if mode == "transcript":
        return transcript()
    kind, secret = rest[0].encode(), bytes.fromhex(rest[1])
    try:
        if mode == "server":
            serve(kind, secret)
        else:
            connect(kind, secret, rest[2], bytes.fromhex(rest[3]))
    except (EOFError, ConnectionResetError):
        say(ended=True)


main()
