#!/usr/bin/python3
"""A file server on Twisted (Debian's python3-twisted), with its own resource for files.

    twisted_files.py --port 8080 --root /srv/www

That reads a part of a file in one iteration of the loop and sends it in the next. Nothing here knows of liblaio.
"""

from twisted.internet import reactor
from twisted.web.server import Site
from twisted.web.static import File

from file_requests import command_line


def serve(options):
    """Serves until it is ended."""
    site = Site(File(options.root))
    reactor.listenTCP(options.port, site, backlog=1024, interface=options.host)
    reactor.run()


if __name__ == "__main__":
    serve(command_line(__doc__.splitlines()[0]).parse_args())
