#!/usr/bin/python3
"""A file server on asyncore.dispatcher: one thread, and files opened and read where it needs them.

    asyncore_files.py --port 8080 --root /srv/www [--poll]

Without --poll asyncore waits in select. Python 3.12 has no asyncore any more. While it waits for one file it serves nobody: that is
what liblaio is for. Nothing here knows of it.
"""

import socket
import warnings
from http import HTTPStatus

from file_requests import MAX_HEAD, Refusal, command_line, head_of, locate, open_file, parse, refuse

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import asyncore


class Client(asyncore.dispatcher):
    """A connection: what has arrived, and what is to be sent."""

    def __init__(self, sock, root):
        super().__init__(sock)
        self.root = root
        self.received = self.to_send = b""
        self.keep = True

    def readable(self):
        return self.keep and not self.to_send

    def writable(self):
        return bool(self.to_send) or not self.keep

    def handle_read(self):
        """Answers the requests that have arrived. A read that brings no byte is the end, as dispatcher has it."""
        self.received += self.recv(65536)
        while self.keep:
            head, end, rest = self.received.partition(b"\r\n\r\n")
            if len(head) > MAX_HEAD:
                self.to_send += refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, None, False)
                self.keep = False
            elif end:
                self.received = rest
                self.to_send += self.answer(head)
            else:
                break

    def handle_write(self):
        if self.to_send:
            self.to_send = self.to_send[self.send(self.to_send):]
        if not self.to_send and not self.keep:
            self.close()

    def answer(self, head):
        """The whole response to one request."""
        method, self.keep = None, False
        try:
            method, target, self.keep = parse(head)
            file, length = open_file(locate(self.root, target))
            with file:
                body = b"" if method == "HEAD" else file.read(length)
            return head_of(HTTPStatus.OK, length, self.keep) + body
        except Refusal as refusal:
            return refuse(refusal.status, method, self.keep)


class Listener(asyncore.dispatcher):
    """Where clients come in."""

    def __init__(self, host, port, root):
        super().__init__()
        self.root = root
        self.create_socket(socket.AF_INET, socket.SOCK_STREAM)
        self.set_reuse_addr()
        self.bind((host, port))
        self.listen(1024)

    def handle_accepted(self, sock, _address):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Client(sock, self.root)


if __name__ == "__main__":
    PARSER = command_line(__doc__.splitlines()[0])
    PARSER.add_argument("--poll", action="store_true", help="wait in poll")
    OPTIONS = PARSER.parse_args()
    Listener(OPTIONS.host, OPTIONS.port, OPTIONS.root)
    try:
        asyncore.loop(use_poll=OPTIONS.poll)
    except KeyboardInterrupt:
        pass
