#!/usr/bin/python3
"""A file server over the selectors module: one thread, non-blocking sockets, and files opened and read where it needs them.

    selectors_files.py --port 8080 --root /srv/www --selector poll [--certificate FILE]

While it waits for one file it serves nobody: that is what liblaio is for. Nothing here knows of it.
"""

import os
import selectors
import socket
import ssl
from http import HTTPStatus

from file_requests import MAX_HEAD, Refusal, command_line, head_of, locate, open_file, parse, refuse

# How much of a file is read at once, where it has to be.
PIECE = 65536

SELECTORS = {
    "epoll": selectors.EpollSelector,
    "poll": selectors.PollSelector,
    "select": selectors.SelectSelector,
}


class Client:
    """A connection: what has arrived, what is to be sent, and the file that is to be sent after that."""

    def __init__(self, sock, root, selector):
        self.sock, self.root, self.selector = sock, root, selector
        self.received = self.to_send = b""
        self.file, self.offset, self.end = None, 0, 0
        self.keep = True
        self.waits_for = selectors.EVENT_READ
        selector.register(sock, self.waits_for, self.ready)

    def ready(self):
        """The connection is ready for what was waited for."""
        try:
            if self.waits_for == selectors.EVENT_READ:
                data = self.sock.recv(65536)
                if not data:
                    return self.close()
                self.received += data
            self.serve()
        except BlockingIOError:
            pass  # Readiness is a hint.
        except OSError:
            self.close()  # The client has gone.

    def serve(self):
        """Answers what has arrived, as far as the connection takes it."""
        while True:
            if not self.send():
                return self.wait_for(selectors.EVENT_WRITE)
            if not self.keep:
                return self.close()
            head, end, rest = self.received.partition(b"\r\n\r\n")
            if len(head) > MAX_HEAD:
                self.to_send = refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, None, False)
                self.keep = False
            elif end:
                self.received = rest
                self.answer(head)
            else:
                return self.wait_for(selectors.EVENT_READ)

    def send(self):
        """Sends what the connection takes; whether that was all."""
        try:
            while self.to_send:
                # The head shares a segment with the beginning of the body.
                flags = socket.MSG_MORE if self.offset < self.end else 0
                self.to_send = self.to_send[self.sock.send(self.to_send, flags):]
            while self.offset < self.end:
                sent = os.sendfile(self.sock.fileno(), self.file.fileno(), self.offset, self.end - self.offset)
                if sent == 0:
                    raise ConnectionAbortedError("the file became shorter")
                self.offset += sent
        except BlockingIOError:
            return False
        self.drop_file()
        return True

    def answer(self, head):
        """Prepares the response to one request."""
        method, self.keep = None, False
        try:
            method, target, self.keep = parse(head)
            self.file, length = open_file(locate(self.root, target))
            self.end = 0 if method == "HEAD" else length
            self.to_send = head_of(HTTPStatus.OK, length, self.keep)
        except Refusal as refusal:
            self.to_send = refuse(refusal.status, method, self.keep)

    def wait_for(self, events):
        """Says what the connection is to become ready for."""
        if events != self.waits_for:
            self.waits_for = events
            self.selector.modify(self.sock, events, self.ready)

    def drop_file(self):
        """Nothing more is sent from the file."""
        if self.file:
            self.file.close()
        self.file, self.offset, self.end = None, 0, 0

    def close(self):
        """Ends the connection."""
        self.drop_file()
        self.selector.unregister(self.sock)
        self.sock.close()


class TlsClient(Client):
    """The same over TLS, whose library may have to read before it can send, and the other way round."""

    def __init__(self, sock, root, selector, context):
        sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        super().__init__(sock, root, selector)

    def ready(self):
        """The connection is ready for what was waited for."""
        try:
            self.sock.do_handshake()  # Nothing, when it is over.
            if self.to_send or self.offset < self.end:
                self.serve()
            while self.waits_for == selectors.EVENT_READ and self.sock.fileno() >= 0:
                data = self.sock.recv(65536)
                if not data:
                    return self.close()
                self.received += data
                self.serve()
        except ssl.SSLWantReadError:
            self.wait_for(selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self.wait_for(selectors.EVENT_WRITE)
        except OSError:
            self.close()  # The client has gone.

    def send(self):
        """Sends what the connection takes; whether that was all. A file has to be read to be sealed."""
        try:
            while self.to_send or self.offset < self.end:
                if len(self.to_send) < PIECE and self.offset < self.end:
                    piece = os.pread(self.file.fileno(), min(PIECE, self.end - self.offset), self.offset)
                    if not piece:
                        raise ConnectionAbortedError("the file became shorter")
                    self.to_send += piece
                    self.offset += len(piece)
                self.to_send = self.to_send[self.sock.send(self.to_send):]
        except ssl.SSLWantWriteError:
            return False
        self.drop_file()
        return True


def serve(options):
    """Serves until it is ended."""
    selector = SELECTORS[options.selector]()
    listener = socket.create_server((options.host, options.port), backlog=1024)
    listener.setblocking(False)

    def accept():
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # It has gone again.
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.certificate:
            TlsClient(sock, options.root, selector, options.certificate)
        else:
            Client(sock, options.root, selector)

    selector.register(listener, selectors.EVENT_READ, accept)
    while True:
        for key, _ in selector.select():
            key.data()


if __name__ == "__main__":
    PARSER = command_line(__doc__.splitlines()[0])
    PARSER.add_argument("--selector", choices=SELECTORS, default="epoll", help="how to wait")
    try:
        serve(PARSER.parse_args())
    except KeyboardInterrupt:
        pass
