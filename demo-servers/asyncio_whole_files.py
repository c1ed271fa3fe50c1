#!/usr/bin/python3
"""A file server in asyncio that reads each file as a whole before it sends the first byte.

    asyncio_whole_files.py --port 8080 --root /srv/www [--how read|hash|thread] [--here]

It reads with one call (read), in pieces for a hash that is sent in front of it (hash), or in another thread (thread). With --here it
names files relative to its working directory. While it waits for one file it serves nobody: that is what liblaio is for. Nothing here
knows of it.
"""

import asyncio
import hashlib
import os
from http import HTTPStatus

from file_requests import MAX_HEAD, Refusal, command_line, head_of, locate, open_file, parse, refuse

PIECE = 65536


def read(path):
    """All of a file."""
    file, _ = open_file(path)
    with file:
        return file.read()


def hash_of(path):
    """What names a file's content, read piece by piece."""
    digest = hashlib.sha256()
    file, _ = open_file(path)
    with file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


async def send_file(how, path, method, keep, writer):
    """Answers with a file."""
    tag = ""
    if how == "hash":
        tag = f'ETag: "{hash_of(path)}"\r\n'
    content = await asyncio.to_thread(read, path) if how == "thread" else read(path)
    head = head_of(HTTPStatus.OK, len(content), keep).decode().removesuffix("\r\n") + tag + "\r\n"
    writer.write(head.encode() + (b"" if method == "HEAD" else content))


async def answer(options, head, writer):
    """Answers one request; whether the connection stays."""
    method, keep = None, False
    try:
        method, target, keep = parse(head)
        path = locate(options.root, target)
        if options.here:
            path = os.path.relpath(path)
        await send_file(options.how, path, method, keep, writer)
    except Refusal as refusal:
        writer.write(refuse(refusal.status, method, keep))
    await writer.drain()
    return keep


async def serve_client(options, reader, writer):
    """Answers a connection's requests, one after the other."""
    try:
        while await answer(options, (await reader.readuntil(b"\r\n\r\n"))[:-4], writer):
            pass
    except asyncio.LimitOverrunError:
        writer.write(refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, None, False))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # The client has gone.
    finally:
        writer.close()


async def serve(options):
    """Serves until it is ended."""
    if options.here:
        os.chdir(options.root)
    server = await asyncio.start_server(
        lambda reader, writer: serve_client(options, reader, writer),
        options.host, options.port, limit=MAX_HEAD, backlog=1024)
    await server.serve_forever()


def options_of(parser):
    """What it is told."""
    parser.add_argument("--how", choices=["read", "hash", "thread"], default="read", help="how files are read")
    parser.add_argument("--here", action="store_true", help="files are named relative to the working directory")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(serve(options_of(command_line(__doc__.splitlines()[0]))))
    except KeyboardInterrupt:
        pass
