#!/usr/bin/python3
"""A file server on Starlette (Debian's python3-starlette and python3-uvicorn), with its own handler for files (`StaticFiles`).

    starlette_files.py --port 8080 --root /srv/www

That handler looks up, opens and reads files in forty other threads. While it waits for forty files it serves nobody: that is what liblaio
is for. Nothing here knows of it.
"""

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from file_requests import command_line

if __name__ == "__main__":
    options = command_line(__doc__.splitlines()[0]).parse_args()
    application = Starlette(routes=[Mount("/", StaticFiles(directory=options.root, html=True))])
    uvicorn.run(application, host=options.host, port=options.port, backlog=1024, log_level="error", loop="asyncio", http="h11",
                timeout_keep_alive=60)
