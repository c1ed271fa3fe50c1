#!/usr/bin/python3
"""A file server on Tornado (Debian's python3-tornado), with its own handler for files.

    tornado_files.py --port 8080 --root /srv/www

That handler hashes a whole file before it sends the first byte. While it waits for one file it serves nobody: that is what
liblaio is for. Nothing here knows of it.
"""

import asyncio

from tornado.httpserver import HTTPServer
from tornado.web import Application, StaticFileHandler

from file_requests import command_line


async def serve(options):
    """Serves until it is ended."""
    handler = (r"/(.*)", StaticFileHandler, {"path": options.root, "default_filename": "index.html"})
    server = HTTPServer(Application([handler], log_function=lambda _: None))
    server.listen(options.port, options.host, backlog=1024)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(serve(command_line(__doc__.splitlines()[0]).parse_args()))
    except KeyboardInterrupt:
        pass
