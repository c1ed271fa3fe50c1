"""Servers of an older system over cold files, with the library: ROOT DISK COMMAND. Run in a mount namespace of its own."""

import hashlib
import http.client
import json
import os
import socket
import ssl as ssl_module
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FILES, CLIENTS = 200, 8
LARGE, LARGE_SIZE = 4, 3_000_000
LIBRARY = "/opt/liblaio.so"

CERTIFICATE = "/tmp/certificate.pem"

LIGHTTPD = """
server.document-root = "/srv"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "/tmp/lighttpd.log"
"""
NGINX = """
daemon off; master_process off; pid /tmp/nginx.pid; error_log /tmp/nginx.log;
events {{ }}
http {{
    access_log off; sendfile on;
    server {{ listen 127.0.0.1:{port}{ssl}; root /srv; {tls} }}
}}
"""
LIGHTTPD_TLS = f"""
server.modules = ("mod_openssl")
ssl.engine = "enable"
ssl.pemfile = "{CERTIFICATE}"
"""
NGINX_TLS = f"ssl_certificate {CERTIFICATE}; ssl_certificate_key {CERTIFICATE};"
# By TLS they have OpenSSL 1.1.1.
SERVERS = {
    "lighttpd": (LIGHTTPD, ["/usr/sbin/lighttpd", "-D", "-f"]),
    "nginx": (NGINX, ["/usr/sbin/nginx", "-c"]),
    "lighttpd by TLS": (LIGHTTPD + LIGHTTPD_TLS, ["/usr/sbin/lighttpd", "-D", "-f"]),
    "nginx by TLS": (NGINX, ["/usr/sbin/nginx", "-c"]),
}


def content(name):
    size = LARGE_SIZE if name.startswith("large") else 5000
    piece = hashlib.sha256(name.encode()).digest()
    return (piece * (size // len(piece) + 1))[:size]


def in_root(root, *command, **variables):
    return ["chroot", root, "env", *(f"{name}={value}" for name, value in variables.items()), *command]


def run(root, *command, **variables):
    done = subprocess.run(in_root(root, *command, **variables), capture_output=True, text=True)
    if done.returncode or done.stderr:
        sys.exit(f"old-glibc: {command}: {done.returncode} {done.stderr}")
    return done.stdout.strip()


def serve(name, root, port, names, command):
    config, start = SERVERS[name]
    by_tls = name.endswith("TLS")
    ssl, tls = (" ssl", NGINX_TLS) if by_tls else ("", "")
    Path(root, "tmp", "server.conf").write_text(config.format(port=port, ssl=ssl, tls=tls))
    server = subprocess.Popen(in_root(root, *start, "/tmp/server.conf", LD_PRELOAD=LIBRARY))
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)

        client = ssl_module.create_default_context(cafile=root + CERTIFICATE) if by_tls else None

        def fetch(part):
            if by_tls:
                connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=client)
            else:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            wrong = 0
            for each in part:
                connection.request("GET", f"/{each}")
                answer = connection.getresponse()
                wrong += answer.status != 200 or answer.read() != content(each)
            return wrong

        with ThreadPoolExecutor(CLIENTS) as pool:
            wrong = sum(pool.map(fetch, [names[at::CLIENTS] for at in range(CLIENTS)]))
        stats = json.loads(subprocess.check_output([command, "stats", "--json", str(server.pid)]))
    finally:
        server.terminate()
        server.wait()
    gated = stats["lanes"]["request_gate"]
    opened = f", {stats['tls']['opened']} records opened" if by_tls else ""
    print(f"{name}: {len(names)} answers, {wrong} wrong, {gated} requests held back{opened}")
    return wrong == 0 and gated > 0


def make_certificate(path):
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    request += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{path}.key", "-out", path]
    subprocess.run(request, check=True, capture_output=True)
    with open(path, "a") as certificate, open(f"{path}.key") as key:
        certificate.write(key.read())


def main():
    root, disk, command = sys.argv[1:]
    mounted = Path(disk, "mnt")
    names = [f"f{number}.html" for number in range(FILES)] + [f"large{number}.html" for number in range(LARGE)]
    for name in names:
        (mounted / name).write_bytes(content(name))
    mounted.chmod(0o755)
    make_certificate(root + CERTIFICATE)
    subprocess.run(["mount", "-t", "proc", "proc", f"{root}/proc"], check=True)
    subprocess.run(["mount", "--rbind", "/dev", f"{root}/dev"], check=True)
    print(run(root, "ldd", "--version").splitlines()[0])
    run(root, "/bin/true", LD_PRELOAD=LIBRARY)
    print(run(root, "python3", "/opt/newer_names.py", LD_PRELOAD=LIBRARY))
    right = True
    for at, name in enumerate(SERVERS):
        # Nothing of the files is in memory.
        subprocess.run(["scripts/slow-disk", "cold", disk], check=True)
        subprocess.run(["mount", "--bind", mounted, f"{root}/srv"], check=True)
        right &= serve(name, root, 18700 + at, names, command)
        subprocess.run(["umount", f"{root}/srv"], check=True)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
