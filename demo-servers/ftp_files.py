#!/usr/bin/python3
"""An FTP server on pyftpdlib (Debian's python3-pyftpdlib), for anybody, which reads files and sends them without sendfile.

    ftp_files.py --port 2121 --root /srv/ftp

Nothing here knows of liblaio.
"""

import logging

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

from file_requests import command_line


def serve(options):
    """Serves until it is ended."""
    logging.basicConfig(level=logging.ERROR)
    FTPHandler.authorizer = DummyAuthorizer()
    FTPHandler.authorizer.add_anonymous(options.root)
    FTPHandler.use_sendfile = False
    FTPServer((options.host, options.port), FTPHandler).serve_forever()


if __name__ == "__main__":
    serve(command_line(__doc__.splitlines()[0]).parse_args())
