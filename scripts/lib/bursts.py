"""Bursts of requests to a server, and the processor time that they take: shared by benchmarks."""

import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZE = 16384
CONNECTIONS = 16
REQUESTS = 3000
TOP = Path(__file__).resolve().parents[2]
LIBRARY = Path(os.environ.get("LAIO_LIBRARY", TOP / "target/release/liblaio.so"))
NGINX = """\
daemon off; worker_processes 1; pid {own}/pid; error_log {own}/log;
events {{ worker_connections 512; }}
http {{
    access_log off; sendfile on; keepalive_requests 100000000;
    client_body_temp_path {own}/1; proxy_temp_path {own}/2; fastcgi_temp_path {own}/3; uwsgi_temp_path {own}/4;
    scgi_temp_path {own}/5;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""
LIGHTTPD = """\
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.max-keep-alive-requests = 100000000
"""
H2O = """\
user: root
num-threads: 1
listen: {{ host: 127.0.0.1, port: {port} }}
hosts: {{ "*": {{ paths: {{ "/": {{ file.dir: "{root}" }} }} }} }}
"""
# Nothing is written: what a SET costs is the loop.
REDIS = """\
bind 127.0.0.1
port {port}
save ""
appendonly no
daemonize no
"""
SERVERS = {
    "nginx": (NGINX, ["nginx", "-p", "{own}", "-c", "{own}/conf", "-e", "{own}/log"]),
    "lighttpd": (LIGHTTPD, ["lighttpd", "-D", "-f", "{own}/conf"]),
    "h2o": (H2O, ["h2o", "-c", "{own}/conf"]),
    "redis": (REDIS, ["redis-server", "{own}/conf"]),
    "asyncio": ("", [str(TOP / "demo-servers/asyncio_files.py"), "--port", "{port}", "--root", "{root}"]),
}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """A server on processor 0, and connections to it."""

    def __init__(self, kind, own, root, settings):
        own.mkdir()
        self.kind = kind
        names = {"own": own, "port": free_port(), "root": root}
        configuration, command = SERVERS[kind]
        (own / "conf").write_text(configuration.format(**names))
        command = ["taskset", "-c", "0", *(part.format(**names) for part in command)]
        with open(own / "said", "wb") as said:
            self.process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=said, stderr=said)
        for _ in range(100):
            time.sleep(0.05)
            try:
                address = ("127.0.0.1", names["port"])
                self.connections = [socket.create_connection(address) for _ in range(CONNECTIONS)]
                break
            except ConnectionRefusedError:
                pass
        else:
            sys.exit(f"{kind} does not start: {(own / 'said').read_text()}")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.processes = [self.process.pid, *children]

    def used(self):
        """Nanoseconds of the processor, helpers included."""
        tasks = (task for process in self.processes for task in Path(f"/proc/{process}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def burst(self, files):
        """Nanoseconds of the processor that a request has taken, of many."""
        ask = self.sets if self.kind == "redis" else self.documents
        before = self.used()
        for _ in range(REQUESTS // CONNECTIONS):
            ask(files)
        return (self.used() - before) / (REQUESTS // CONNECTIONS * CONNECTIONS)

    def documents(self, files):
        for connection in self.connections:
            connection.sendall(b"GET /f%d HTTP/1.1\r\nHost: h\r\n\r\n" % random.randrange(files))
        for connection in self.connections:
            answer = connection.recv(65536)
            while (end := answer.find(b"\r\n\r\n")) < 0 or len(answer) < end + 4 + SIZE:
                answer += connection.recv(65536)

    def sets(self, files):
        for connection in self.connections:
            key = b"key:%08d" % random.randrange(files)
            connection.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$64\r\n%b\r\n" % (len(key), key, b"x" * 64))
        for connection in self.connections:
            answer = connection.recv(64)
            if answer != b"+OK\r\n":
                sys.exit(f"redis: {answer}")

    def end(self):
        for connection in self.connections:
            connection.close()
        self.process.terminate()
        self.process.wait()


class Site:
    """Files that are all in memory, in a directory of their own that is removed."""

    def __init__(self, directory, files):
        if not LIBRARY.exists():
            sys.exit(f"{LIBRARY} is missing: cargo build --release -p laio-preload")
        self.top = Path(tempfile.mkdtemp(prefix="bench.", dir=directory))
        self.top.chmod(0o755)
        self.root = self.top / "root"
        self.root.mkdir()
        for number in range(files):
            (self.root / f"f{number}").write_bytes(os.urandom(SIZE))
        os.sync()

    def remove(self):
        shutil.rmtree(self.top)


def median_of_pairs(times, one, other):
    """The median of the ratios of two kinds of bursts that took turns."""
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))
