#!/usr/bin/env python3
"""The same server as http.rs with nothing but Python: the pipe handshake needs no library of ours.

    web.py [--name NAME] LISTEN_FD... PIPE_FD
"""

import http.server
import os
import select
import signal
import socket
import sys
import threading
import time

GRACE = 1.0  # seconds for a request that is on the way on a kept connection


class Conversation(http.server.BaseHTTPRequestHandler):
    """One connection, in a thread of its own."""

    protocol_version = "HTTP/1.1"
    rbufsize = 0  # what has arrived must be visible to select

    def handle(self):
        self.close_connection = False
        while not self.close_connection and self.request_comes():
            self.handle_one_request()

    def request_comes(self):
        """Waits for a request: as long as it takes, or for the grace once we are leaving."""
        found, _, _ = select.select([self.connection, leaving], [], [])
        if self.connection not in found:
            found, _, _ = select.select([self.connection], [], [], GRACE)
        return self.connection in found

    def do_GET(self):
        page, _, number = self.path.partition("=")
        body = f"{name} generation={generation} pid={os.getpid()}\n".encode()
        if page == "/sleep?ms":
            time.sleep(int(number) / 1000)
        elif page == "/big?bytes":
            body = b"x" * int(number)
        self.close_connection |= bool(select.select([leaving], [], [], 0)[0])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def converse(connection, address):
    with connection:
        try:
            Conversation(connection, address, None)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(GRACE)
            while connection.recv(4096):  # closing with bytes unread would be a reset
                pass
        except OSError:
            pass  # the client went away


def say(word):
    try:
        os.write(pipe, word)
    except BrokenPipeError:
        pass  # the supervisor was killed; the next one takes over who serves


# First of all: from here on SIGUSR1 is a byte in a pipe and cannot be missed.
asked, ask = os.pipe()
os.set_blocking(ask, False)
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.set_wakeup_fd(ask)

arguments = sys.argv[1:]
name = os.environ.get("BOOTSTRAP_SERVICE", "http")
if arguments[:1] == ["--name"]:
    name, arguments = arguments[1], arguments[2:]
generation = os.environ.get("BOOTSTRAP_GENERATION", "0")
*fds, pipe = map(int, arguments)

try:
    listeners = [socket.socket(fileno=fd) for fd in fds]
    for listener in listeners:
        listener.listen(4096)
        listener.setblocking(False)
except OSError as error:
    print(f"cannot serve: {error}", file=sys.stderr)
    say(b"failed ")
    sys.exit(0)
say(b"ready  ")

# At its end once we leave: every connection that waits sees it.
leaving, staying = os.pipe()
while True:
    found, _, _ = select.select([asked, *listeners], [], [])
    if asked in found:
        break
    for listener in found:
        try:
            connection, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            continue
        connection.setblocking(True)
        # Not a daemon: the interpreter waits for it at the end.
        threading.Thread(target=converse, args=(connection, address)).start()

for listener in listeners:
    listener.close()
os.close(staying)
say(b"success")
