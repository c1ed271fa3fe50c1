#!/usr/bin/python3
"""A Gopher server on asyncio, of files only: each is named by a line.

    gopher_files.py --port 7070 --root /srv/gopher

The file is opened and read in the handler, and everybody else waits. Nothing here knows of liblaio.
"""

import asyncio

from file_requests import Refusal, command_line, locate


def read(root, line):
    """What a line names, or an error as Gopher has it."""
    selector = line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
    try:
        path = locate(root, selector if selector.startswith("/") else "/" + selector)
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except (OSError, Refusal):
        return b"3not found\t\terror.host\t1\r\n"


async def serve(options):
    """Serves until it is ended."""

    async def answer(reader, writer):
        try:
            writer.write(read(options.root, await reader.readline()))
            await writer.drain()
        except (OSError, ValueError):
            pass
        writer.close()

    server = await asyncio.start_server(answer, options.host, options.port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(command_line(__doc__.splitlines()[0]).parse_args()))
