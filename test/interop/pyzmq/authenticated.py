"""Sockets of pyzmq with zmq.auth: what most people at the other end have. One line of JSON for each
thing that happened; it ends with its standard input.

    authenticated.py create DIRECTORY NAME...      zmq.auth.create_certificates
    authenticated.py load FILE                     zmq.auth.load_certificate
    authenticated.py server ENDPOINT [--secret FILE --certificates DIRECTORY]
                                     [--passwords JSON] [--domain D] [--deny ADDRESS]
        A REP that sends everything back, behind a ThreadAuthenticator. A line on its standard input makes
        it read the directory again.
    authenticated.py client ENDPOINT [--secret FILE --server FILE] [--user U --password P] [--count N]
        A DEALER that sends so many messages, compares their echoes and tells of its monitor's events."""

import argparse
import json
import os
import sys
import threading

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message


def say(**line):
    print(json.dumps(line), flush=True)


def end_with_input(told=lambda: None):
    def read():
        for _ in sys.stdin:
            told()
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()


def create(directory, names):
    for name in names:
        zmq.auth.create_certificates(directory, name, metadata={"name": name, "made-by": "pyzmq"})
    say(created=names)


def load(file):
    public, secret = zmq.auth.load_certificate(file)
    say(public=public.decode(), secret=secret and secret.decode())


def serve(options):
    context = zmq.Context.instance()
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    if options.deny:
        authenticator.deny(options.deny)
    domain = options.domain or "*"
    socket = context.socket(zmq.REP)
    if options.domain:
        socket.zap_domain = options.domain.encode()

    def configure():
        authenticator.configure_curve(domain=domain, location=options.certificates)
        # The next command is read after this one.
        say(read=sorted(os.listdir(options.certificates)))

    if options.passwords:
        authenticator.configure_plain(domain=domain, passwords=json.loads(options.passwords))
        socket.plain_server = True
    else:
        configure()
        _, secret = zmq.auth.load_certificate(options.secret)
        socket.curve_secretkey = secret
        socket.curve_server = True
    end_with_input(configure)
    socket.bind(options.endpoint)
    say(endpoint=socket.last_endpoint.decode().rstrip("\0"))
    while True:
        parts = socket.recv_multipart(copy=False)
        say(user=parts[0].get("User-Id"), parts=len(parts))
        socket.send_multipart(parts)


def watch(socket):
    monitor = socket.get_monitor_socket()

    def read():
        while True:
            event = recv_monitor_message(monitor)
            say(event=int(event["event"]), value=event["value"])

    threading.Thread(target=read, daemon=True).start()


def ask(options):
    context = zmq.Context.instance()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    if options.secret:
        public, secret = zmq.auth.load_certificate(options.secret)
        socket.curve_publickey, socket.curve_secretkey = public, secret
        socket.curve_serverkey, _ = zmq.auth.load_certificate(options.server)
    if options.user is not None:
        socket.plain_username = options.user.encode()
        socket.plain_password = options.password.encode()
    watch(socket)
    end_with_input()
    socket.connect(options.endpoint)
    errors = 0
    for number in range(options.count):
        message = [b"%d" % number, b"", os.urandom(number * 997)]
        socket.send_multipart(message)
        errors += socket.recv_multipart() != message
    say(done=True, messages=options.count, errors=errors)
    threading.Event().wait()


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("create")
    command.add_argument("directory")
    command.add_argument("names", nargs="+")
    command = commands.add_parser("load")
    command.add_argument("file")
    command = commands.add_parser("server")
    command.add_argument("endpoint")
    for name in ("--secret", "--certificates", "--passwords", "--domain", "--deny"):
        command.add_argument(name)
    command = commands.add_parser("client")
    command.add_argument("endpoint")
    for name in ("--secret", "--server", "--user", "--password"):
        command.add_argument(name)
    command.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    if not zmq.has("curve"):
        say(error="this pyzmq has no CURVE")
        sys.exit(2)
    if options.command == "create":
        create(options.directory, options.names)
    elif options.command == "load":
        load(options.file)
    elif options.command == "server":
        serve(options)
    else:
        ask(options)


main()
