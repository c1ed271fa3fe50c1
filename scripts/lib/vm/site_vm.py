"""Documents, servers and clients: what is asked for, by whom, and whether each byte of the answers is right."""

import hashlib
import json
import os
import signal
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path

WORK = Path(__file__).resolve().parents[3]
LIBRARY = WORK / "target/release/liblaio.so"
COMMAND = WORK / "target/release/laio"
CLIENTS = 8

NGINX = """
daemon off; master_process off; pid {directory}/pid; error_log {directory}/log; user root;
events {{ worker_connections 512; }}
http {{
    access_log off; sendfile on; keepalive_requests 100000;
    server {{ listen 127.0.0.1:{port}; location / {{ root {root}; }} location /local/ {{ root {local}; }} }}
}}
"""
# It keeps no file open: to close one may be to ask its server.
LIGHTTPD = """
server.modules = ("mod_alias")
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{directory}/log"
server.stat-cache-engine = "disable"
server.max-keep-alive-requests = 100000
alias.url = ("/local/" => "{local}/local/")
"""
SERVERS = {
    "nginx": (NGINX, ["/usr/sbin/nginx", "-c"]),
    "lighttpd": (LIGHTTPD, ["/usr/sbin/lighttpd", "-D", "-f"]),
}


def content(name):
    """What is in a document of this name."""
    size = 1_000_000 if name.startswith("large") else 8_000
    piece = hashlib.sha256(name.encode()).digest()
    return (piece * (size // len(piece) + 1))[:size]


def names(kind, small, large):
    """Names of so many documents; two kinds have none in common."""
    return [f"{kind}{number}.html" for number in range(small)] + [f"large-{kind}{number}.html" for number in range(large)]


def lay(root, documents):
    root.mkdir(parents=True, exist_ok=True)
    for name in documents:
        (root / name).write_bytes(content(name))


class Server:
    """One of the servers, with or without the library."""

    ports = iter(range(18100, 19000))

    def __init__(self, name, root, local, is_preloaded, **settings):
        self.directory = Path("/tmp/servers", str(next(self.ports)))
        self.directory.mkdir(parents=True)
        self.port = int(self.directory.name)
        self.is_preloaded = is_preloaded
        text, start = SERVERS[name]
        config = self.directory / "server.conf"
        config.write_text(text.format(directory=self.directory, port=self.port, root=root, local=local))
        environment = os.environ | settings | ({"LD_PRELOAD": str(LIBRARY)} if is_preloaded else {})
        self.errors = open(self.directory / "stderr", "w+")
        self.process = subprocess.Popen([*start, config], env=environment, stderr=self.errors)
        for _ in range(1200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.05)

    def said(self):
        self.errors.seek(0)
        return [line for line in self.errors.read().splitlines() if "liblaio" in line]

    def stats(self):
        if not self.is_preloaded:
            return {}
        return json.loads(subprocess.check_output([COMMAND, "stats", "--json", str(self.process.pid)]))

    def doctor(self):
        done = subprocess.run([COMMAND, "doctor", str(self.process.pid)], capture_output=True, text=True)
        return {"status": done.returncode, "text": done.stdout + done.stderr}

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.errors.close()


class Connection:
    """A kept connection. Little is done for each answer: the processor is emulated."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, target):
        self.socket.sendall(f"GET {target} HTTP/1.1\r\nHost: vm\r\n\r\n".encode())
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self.some()
        head = bytes(received[:end]).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(received) < end + 4 + length:
            received += self.some()
        return head.split(b" ", 2)[1] == b"200", bytes(received[end + 4 :])

    def some(self):
        part = self.socket.recv(1 << 18)
        if not part:
            raise OSError("the connection has ended")
        return part


class Beside(threading.Thread):
    """A client that asks for a document in memory again and again, and how long each answer took."""

    def __init__(self, port, name):
        super().__init__()
        self.connection, self.target, self.wanted = Connection(port), f"/local/{name}", content(name)
        self.times, self.wrong, self.is_over = [], 0, threading.Event()
        self.start()

    def run(self):
        while not self.is_over.wait(0.01):
            began = time.monotonic()
            try:
                right, body = self.connection.get(self.target)
            except OSError:
                self.wrong += 1
                return
            self.times.append(time.monotonic() - began)
            self.wrong += not right or body != self.wanted

    def end(self):
        self.is_over.set()
        self.join()
        times = sorted(self.times) or [0]
        return {
            "beside": len(self.times),
            "beside_wrong": self.wrong,
            "beside_p50_ms": statistics.median(times) * 1000,
            "beside_max_ms": times[-1] * 1000,
        }


def load(port, documents, clients=CLIENTS):
    """Asks for all of them over some connections; how many answers were wrong, and how long it took."""
    wrong = [0] * clients

    def client(number):
        mine = documents[number::clients]
        try:
            connection = Connection(port)
            for at, name in enumerate(mine):
                right, body = connection.get(f"/{name}")
                wrong[number] += not right or body != content(name)
        except OSError as error:
            print(f"    client {number}: {error}")
            wrong[number] += len(mine) - at

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"answers": len(documents), "wrong": sum(wrong), "seconds": time.monotonic() - began}


def counted(before, after):
    """What the library counted meanwhile."""
    if not after:
        return {}
    lanes = {name: after["lanes"][name] - before["lanes"][name] for name in ("request_gate", "body_gate", "stall")}
    stalls = [f"{stall['count']}x {stall['call']} {stall['path']} {stall['max_us']} us" for stall in after["stalls"][:3]]
    reasons = {name: count - before["reasons"][name] for name, count in after["reasons"].items()}
    lanes["reasons"] = {name: count for name, count in reasons.items() if count}
    lanes["stall_ms"] = (after["stall_time_ns"] - before["stall_time_ns"]) / 1e6
    return lanes | {"stalls": stalls}


def told(row):
    """A row of results in one line."""
    what = "silent server, " if "silent" in row else ""
    kind = "preloaded" if row["preloaded"] else "stock"
    text = f"{row['fs']} {row['options']} {what}{row['server']} {kind}: {row['answers']} answers, {row['wrong']} wrong"
    text += f", {row['answers'] / row['seconds']:.1f}/s; beside {row['beside']} answers, {row['beside_wrong']} wrong"
    text += f", p50 {row['beside_p50_ms']:.1f} ms, longest {row['beside_max_ms']:.0f} ms"
    if "request_gate" in row:
        text += f"; held back {row['request_gate']} + {row['body_gate']} parts, {row['stall']} stalls"
    return text
