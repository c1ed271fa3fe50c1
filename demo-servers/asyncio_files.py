#!/usr/bin/python3
"""A file server in asyncio, written in the ordinary way: one thread, which opens and reads files where it needs them.

    asyncio_files.py --port 8080 --root /srv/www [--certificate FILE]

While it waits for one file it serves nobody: that is what liblaio is for. Nothing here knows of it.
"""

import asyncio
from http import HTTPStatus

from file_requests import MAX_HEAD, Refusal, command_line, head_of, locate, open_file, parse, refuse

# A body up to this is sent from memory together with its head, a longer one from the file.
SMALL = 65536


async def send_body(file, length, writer):
    """Sends a long body; how much of it there was."""
    if not writer.get_extra_info("sslcontext"):
        return await asyncio.get_running_loop().sendfile(writer.transport, file, 0, length)
    # asyncio's own substitute would read in another thread.
    sent = 0
    while sent < length and (piece := file.read(min(SMALL, length - sent))):
        writer.write(piece)
        await writer.drain()
        sent += len(piece)
    return sent


async def send_file(path, method, keep, writer):
    """Answers with a file."""
    file, length = open_file(path)
    with file:
        if method == "HEAD":
            writer.write(head_of(HTTPStatus.OK, length, keep))
        elif length <= SMALL:
            body = file.read(length)
            writer.write(head_of(HTTPStatus.OK, len(body), keep) + body)
        else:
            writer.write(head_of(HTTPStatus.OK, length, keep))
            if await send_body(file, length, writer) < length:
                raise ConnectionAbortedError("the file became shorter")


async def answer(root, head, writer):
    """Answers one request; whether the connection stays."""
    method, keep = None, False
    try:
        method, target, keep = parse(head)
        await send_file(locate(root, target), method, keep, writer)
    except Refusal as refusal:
        writer.write(refuse(refusal.status, method, keep))
    await writer.drain()
    return keep


async def serve_client(root, reader, writer):
    """Answers a connection's requests, one after the other."""
    try:
        while await answer(root, (await reader.readuntil(b"\r\n\r\n"))[:-4], writer):
            pass
    except asyncio.LimitOverrunError:
        writer.write(refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, None, False))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # The client has gone.
    finally:
        writer.close()


async def serve(options):
    """Serves until it is ended."""
    server = await asyncio.start_server(
        lambda reader, writer: serve_client(options.root, reader, writer),
        options.host, options.port, limit=MAX_HEAD, backlog=1024, ssl=options.certificate)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(serve(command_line(__doc__.splitlines()[0]).parse_args()))
    except KeyboardInterrupt:
        pass
