"""What the file servers beside this have in common: requests taken apart, files found, heads of responses."""

import argparse
import os
import ssl
import stat
import urllib.parse
from http import HTTPStatus

MAX_HEAD = 16384


class Refusal(Exception):
    """A request that is not answered with a file, and the status that says so."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


def parse(head):
    """Takes a request's head apart: method, target, and whether the connection stays."""
    request_line, *fields = head.decode("latin-1").split("\r\n")
    words = request_line.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1"):
        raise Refusal(HTTPStatus.BAD_REQUEST)
    method, target, version = words
    connection = ""
    for field in fields:
        name, _, value = field.partition(":")
        name = name.lower()
        if name == "connection":
            connection = value.strip().lower()
        elif name == "transfer-encoding" or name == "content-length" and value.strip() != "0":
            # The body would be taken for the next request.
            raise Refusal(HTTPStatus.BAD_REQUEST)
    if method not in ("GET", "HEAD"):
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED)
    keep = connection != "close" if version == "HTTP/1.1" else connection == "keep-alive"
    return method, target, keep


def locate(root, target):
    """The path that a target names; none outside the root."""
    path = urllib.parse.unquote(target.partition("?")[0], errors="surrogateescape")
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise Refusal(HTTPStatus.BAD_REQUEST)
    return root + path + ("index.html" if path.endswith("/") else "")


def open_file(path):
    """An open regular file and its length. Both calls wait for the disk, and everybody with them."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise Refusal(HTTPStatus.NOT_FOUND)
        return open(path, "rb", buffering=0), status.st_size
    except (OSError, UnicodeEncodeError):
        raise Refusal(HTTPStatus.NOT_FOUND) from None


def head_of(status, length, keep):
    """A response's head."""
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Length: {length}",
        f"Connection: {'keep-alive' if keep else 'close'}",
    ]
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    return "\r\n".join(lines + ["", ""]).encode()


def refuse(status, method, keep):
    """A whole response without a file."""
    body = f"{status.phrase}\n".encode()
    return head_of(status, len(body), keep) + (b"" if method == "HEAD" else body)


def tls_context(file):
    """What TLS is spoken with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(file)
    return context


def command_line(description, certificate=tls_context):
    """A parser of the options that all servers have; what a certificate's file is made into."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on")
    parser.add_argument("--certificate", type=certificate, metavar="FILE", help="speak TLS, with this certificate and its key")
    parser.add_argument("--root", type=os.path.realpath, default=".", help="directory with the files")
    return parser
