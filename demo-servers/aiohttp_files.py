#!/usr/bin/python3
"""A file server on aiohttp (Debian's python3-aiohttp), with its own handler for files (`add_static`).

    aiohttp_files.py --port 8080 --root /srv/www

That handler looks up and opens files in other threads, of which there are few, and sends them in its own. While it waits for some it
serves nobody: that is what liblaio is for. Nothing here knows of it.
"""

from aiohttp import web

from file_requests import command_line

if __name__ == "__main__":
    options = command_line(__doc__.splitlines()[0]).parse_args()
    application = web.Application()
    application.router.add_static("/", options.root)
    web.run_app(application, host=options.host, port=options.port, backlog=1024, print=None, access_log=None,
                keepalive_timeout=60)
