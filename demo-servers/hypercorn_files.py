#!/usr/bin/python3
"""A file server on hypercorn, which speaks HTTP/2 by asyncio: an application that opens and reads files where it needs them.

    hypercorn_files.py --port 8080 --root /srv/www [--certificate FILE]

While it waits for one file it serves nobody: that is what liblaio is for. Nothing here knows of it.
"""

import asyncio
from http import HTTPStatus

from file_requests import Refusal, command_line, locate, open_file
from hypercorn.asyncio import serve
from hypercorn.config import Config

# A body is read in pieces of this size.
PIECE = 65536

# A connection may be idle for so many seconds.
IDLE = 60


def head(status, length, *more):
    """The beginning of an answer."""
    fields = [(b"content-length", str(length).encode()), *more]
    return {"type": "http.response.start", "status": status.value, "headers": fields}


async def refuse(status, method, send):
    """A whole answer without a file."""
    body = b"" if method == "HEAD" else f"{status.phrase}\n".encode()
    allowed = [(b"allow", b"GET, HEAD")] if status == HTTPStatus.METHOD_NOT_ALLOWED else []
    await send(head(status, len(body), *allowed))
    await send({"type": "http.response.body", "body": body})


async def send_file(path, method, send):
    """Answers with a file."""
    file, length = open_file(path)
    with file:
        await send(head(HTTPStatus.OK, length))
        sent = 0
        while method == "GET" and sent < length and (piece := file.read(min(PIECE, length - sent))):
            sent += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": sent < length})
        if sent == 0:
            await send({"type": "http.response.body", "body": b""})


async def answer(root, scope, receive, send):
    """Answers one request, which is read to its end first."""
    method = scope["method"]
    while (await receive()).get("more_body"):
        pass
    try:
        if method not in ("GET", "HEAD"):
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        await send_file(locate(root, scope["raw_path"].decode("latin-1")), method, send)
    except Refusal as refusal:
        await refuse(refusal.status, method, send)


def application(root):
    """The application, as hypercorn calls it (ASGI)."""
    async def call(scope, receive, send):
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "http":
            await answer(root, scope, receive, send)
    return call


def main():
    """Serves until it is ended."""
    parser = command_line(__doc__.splitlines()[0], certificate=str)
    options = parser.parse_args()
    config = Config()
    config.bind = [f"{options.host}:{options.port}"]
    config.backlog = 1024
    config.keep_alive_timeout = IDLE
    config.certfile = config.keyfile = options.certificate
    asyncio.run(serve(application(options.root), config))


if __name__ == "__main__":
    main()
