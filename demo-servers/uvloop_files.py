#!/usr/bin/python3
"""The file server of asyncio_files.py on uvloop, which is libuv.

    uvloop_files.py --port 8080 --root /srv/www [--certificate FILE]

Since 0.22, whose libuv is 1.49 or newer, connections are registered by io_uring.
"""

import sys

import uvloop

import asyncio_files
from file_requests import command_line

# uvloop has no sendfile: every body is sent from memory.
asyncio_files.SMALL = sys.maxsize

if __name__ == "__main__":
    try:
        uvloop.run(asyncio_files.serve(command_line(__doc__.splitlines()[0]).parse_args()))
    except KeyboardInterrupt:
        pass
