#!/usr/bin/python3
"""Records what HTTP/2 clients send, with what an independent decoder makes of it: see README.md."""

import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

import h2.config
import h2.connection
import hpack

HERE = pathlib.Path(__file__).resolve().parent
HOST, PORT, BEHIND = "127.0.0.1", 8443, 8080
AT = f"https://localhost:{PORT}"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CONDITIONS = {"if-none-match", "if-modified-since", "if-match", "if-unmodified-since"}
DATE = "Sat, 28 Nov 2026 20:00:00 GMT"


class Recorder:
    """Stands between clients that speak TLS and a server that does not, and keeps the content of each record of the clients."""

    def __init__(self, folder):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.context.set_alpn_protocols(["h2"])
        self.connections = []
        self.listener = socket.create_server((HOST, PORT))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        records = []
        try:
            client = self.context.wrap_socket(client, server_side=True)
            server = socket.create_connection((HOST, BEHIND))
            self.connections.append(records)
            back = threading.Thread(target=self.pass_back, args=(server, client), daemon=True)
            back.start()
            # One call reads from one record.
            while part := client.recv(1 << 15):
                records.append(part)
                server.sendall(part)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    @staticmethod
    def pass_back(server, client):
        try:
            while part := server.recv(1 << 15):
                client.sendall(part)
            client.unwrap()
        except (OSError, ValueError):
            pass

    def take(self):
        """The records of the connection that was used most since the last call."""
        time.sleep(0.5)
        connections, self.connections = self.connections, []
        return max(connections, key=lambda records: sum(map(len, records)))


def requests(data):
    """What the `hpack` package makes of it: stream, method, authority, path, range, conditions."""
    assert data.startswith(PREFACE)
    decoder, at, block = hpack.Decoder(), len(PREFACE), b""
    while at + 9 <= len(data):
        length = int.from_bytes(data[at : at + 3], "big")
        kind, flags = data[at + 3], data[at + 4]
        stream = int.from_bytes(data[at + 5 : at + 9], "big")
        payload = data[at + 9 : at + 9 + length]
        at += 9 + length
        if kind == 1:
            padding = payload[0] if flags & 8 else 0
            begin = (1 if flags & 8 else 0) + (5 if flags & 0x20 else 0)
            payload = payload[begin : len(payload) - padding]
        if kind not in (1, 9):
            continue
        block += payload
        if not flags & 4:
            continue
        fields = decoder.decode(block)
        block = b""
        head = dict(fields)
        if ":method" in head:
            condition = "conditional" if CONDITIONS & head.keys() else "-"
            span = head.get("range", "-").replace(" ", "")
            yield " ".join([str(stream), head[":method"], head[":authority"], head[":path"], span, condition])


def keep(name, records):
    data = b"".join(records)
    lines = list(requests(data))
    assert len(lines) >= 30, (name, lines)
    framed = b"".join(struct.pack(">H", len(record)) + record for record in records)
    (HERE / f"{name}.records").write_bytes(framed)
    (HERE / f"{name}.requests").write_text("\n".join(lines) + "\n")
    print(f"{name}: {len(records)} records, {len(data)} bytes, {len(lines)} requests")


def curl():
    groups = [["-r", "0-99"], ["-r", "100-"], ["-H", 'If-None-Match: "1"'], ["-H", f"If-Modified-Since: {DATE}"]]
    groups += [["-I"], ["-d", "a=b"], [], ["-H", "Cookie: session=1; other=2"], ["-X", "PUT", "-d", "x" * 300]]
    command = ["curl", "-sk", "--http2"]
    for number, group in enumerate(groups * 2):
        command += ["--next", "-sk", "--http2"] if number else []
        for url in (f"/img/{number % 5}.png", "/page.html?q=%20x#y", f"/a%20b/{number}.txt"):
            command += [*group, "-o", "/dev/null", AT + url]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


def h2load():
    urls = [f"{AT}/img/{number % 7}.png" for number in range(20)] + [f"{AT}/files/{n}/x.html?n={n}" for n in range(20)]
    command = ["h2load", "-n", "80", "-c", "1", "-m", "8", *urls, "-H", "Range: bytes=10-20", "-H", 'If-None-Match: "x"']
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def chromium():
    command = ["chromium-headless-shell", "--no-sandbox", "--ignore-certificate-errors", "--remote-debugging-port=0"]
    with tempfile.TemporaryDirectory() as profile:
        command += [f"--user-data-dir={profile}", AT + "/index.html"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(12)
        browser.terminate()
        browser.wait()


def python_h2():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection((HOST, PORT))
    client = context.wrap_socket(plain, server_hostname="localhost")
    connection = h2.connection.H2Connection(h2.config.H2Configuration())
    connection.initiate_connection()

    def send(path, method="GET", more=(), body=None, trailers=None):
        stream = connection.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", f"localhost:{PORT}"), (":path", path)]
        connection.send_headers(stream, pseudo + list(more), end_stream=body is None)
        if body is not None:
            connection.send_data(stream, body, end_stream=trailers is None)
        if trailers is not None:
            connection.send_headers(stream, trailers, end_stream=True)
        return stream

    def pump():
        client.sendall(connection.data_to_send())
        client.settimeout(0.1)
        try:
            connection.receive_data(client.recv(1 << 16))
        except TimeoutError:
            pass

    for number in range(8):
        send(f"/img/{number % 3}.png", more=[("user-agent", "h2"), ("accept", "*/*")])
        send(f"/files/{number}.bin", more=[("range", f"bytes={number * 10}-{number * 10 + 9}")])
        send("/page.html?x=y", more=[("if-none-match", '"1"')])
        send("/page.html", method="HEAD")
        pump()
        send("/upload", method="POST", body=b"x" * 100, trailers=[("x-sum", str(number))])
        reset = send(f"/long/{'a' * 200}/{number}", more=[("cookie", "b" * 3000)])
        connection.reset_stream(reset)
        connection.ping(b"12345678")
        pump()
    # Longer than a frame: it goes on in CONTINUATION.
    send("/last", more=[(f"x-{number}", "c" * 4000) for number in range(4)] + [("x-end", "d" * 4000)])
    pump()
    client.close()


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    subject = ["-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject], check=True, stderr=subprocess.DEVNULL)
    site = folder / "site"
    (site / "img").mkdir(parents=True)
    images = "".join(f'<img src="/img/{number}.png">' for number in range(40))
    script = """
        const get = (path, options) => fetch(path, options).catch(() => 0);
        onload = async () => {
            for (let n = 0; n < 5; n++) {
                await get(`/img/${n}.png`, {cache: 'no-cache'});
                await get(`/img/${n}.png?a=${n}`, {headers: {Range: `bytes=${n}-99`}});
                await get('/page.html', {method: 'HEAD'});
                await get('/upload', {method: 'POST', body: 'x'.repeat(n * 100 + 1)});
                await get('/page.html', {cache: 'no-store', headers: {'If-None-Match': '"1"'}});
                await Promise.all([0, 1, 2].map((m) => get(`/a b/${n}/ä${m}.txt`)));
            }
        };"""
    (site / "index.html").write_text(f"<!doctype html><script>{script}</script>{images}")
    (site / "page.html").write_text("page")
    for number in range(40):
        (site / "img" / f"{number}.png").write_bytes(os.urandom(500))
    server = subprocess.Popen(["nghttpd", "--no-tls", "-a", HOST, "-d", site, str(BEHIND)], stdout=subprocess.DEVNULL)
    try:
        recorder = Recorder(folder)
        time.sleep(0.5)
        for name, client in {"curl": curl, "h2load": h2load, "chromium": chromium, "python-h2": python_h2}.items():
            if len(sys.argv) < 2 or name in sys.argv[1:]:
                client()
                keep(name, recorder.take())
    finally:
        server.terminate()


main()
