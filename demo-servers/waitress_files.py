#!/usr/bin/python3
"""A file server in WSGI on waitress (Debian's python3-waitress): one thread for the sockets, a few for the application.

    waitress_files.py --port 8080 --root /srv/www

Files are opened and read in the application's threads. A thread that waits for one file serves nobody: that is what liblaio is for, and
since these threads wait for no sockets, it has to be told where the files are (LAIO_MAP). Nothing here knows of it.
"""

import waitress

from file_requests import Refusal, command_line, locate, open_file


def application(root):
    """The WSGI application for the files below a directory."""
    def respond(environ, start_response):
        try:
            if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
                raise Refusal(405)
            # Already unescaped, and decoded as Latin-1.
            path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "surrogateescape")
            file, length = open_file(locate(root, path.replace("%", "%25")))
        except Refusal as refusal:
            status = int(refusal.status)
            start_response(f"{status} Refused", [("Content-Length", "0")])
            return [b""]
        with file:
            body = file.read(length)
        start_response("200 OK", [("Content-Length", str(length))])
        return [body]
    return respond


if __name__ == "__main__":
    PARSER = command_line(__doc__.splitlines()[0])
    PARSER.add_argument("--threads", type=int, default=4, help="threads of the application")
    PARSER.add_argument("--poll", action="store_true", help="wait in poll instead of select")
    OPTIONS = PARSER.parse_args()
    waitress.serve(application(OPTIONS.root), host=OPTIONS.host, port=OPTIONS.port, threads=OPTIONS.threads,
                   connection_limit=1000, asyncore_use_poll=OPTIONS.poll, _quiet=True)
