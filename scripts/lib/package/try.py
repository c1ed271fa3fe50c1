"""Installs the packages in a root of Debian's, has its nginx serve cold files with the library, upgrades meanwhile, and removes:
ROOT TARGET VERSION. Run in namespaces of its own, of mounts, processes and network."""

import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FILES, CLIENTS = 120, 8
DROP_IN = "etc/systemd/system/nginx.service.d/laio.conf"


def content(name):
    piece = hashlib.sha256(name.encode()).digest()
    return piece * 200


class Root:
    """What is done in the root, as an administrator does it."""

    def __init__(self, path):
        self.path = Path(path)

    def run(self, *words, status=(0,), **variables):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        # What is to be preloaded is there, not here.
        inside = ["env", *(f"{name}={value}" for name, value in variables.items())]
        line = ["chroot", self.path, *inside, *words]
        done = subprocess.run(line, env=environment, capture_output=True, text=True)
        if done.returncode not in status:
            sys.exit(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def environment(self):
        """What systemd would read in the drop-in."""
        file = self.path / DROP_IN
        lines = file.read_text().splitlines() if file.exists() else []
        pairs = [line.removeprefix("Environment=") for line in lines if line.startswith("Environment=")]
        return dict(pair.replace("%%", "%").split("=", 1) for pair in pairs)

    def start(self):
        """As the unit does."""
        said = self.run("nginx", "-g", "daemon on; master_process on;", **self.environment())
        for _ in range(200):
            if (self.path / "run/nginx.pid").exists():
                return said
            time.sleep(0.05)
        sys.exit("nginx did not start")

    def stop(self):
        pid = int((self.path / "run/nginx.pid").read_text())
        os.kill(pid, signal.SIGQUIT)
        while (self.path / "run/nginx.pid").exists():
            time.sleep(0.05)

    def mapped(self):
        """The library's files that nginx' processes have in memory, as the kernel names them."""
        found = set()
        for maps in Path("/proc").glob("[0-9]*/maps"):
            try:
                if (maps.parent / "comm").read_text() == "nginx\n":
                    found |= {line.split(maxsplit=5)[5].strip() for line in maps.open() if "liblaio" in line}
            except OSError:
                pass
        return found


def fetch(names):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=60)
    wrong = 0
    for name in names:
        connection.request("GET", f"/{name}")
        answer = connection.getresponse()
        wrong += answer.status != 200 or answer.read() != content(name)
    return wrong


def serve(names):
    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(fetch, [names[at::CLIENTS] for at in range(CLIENTS)]))


def held_back(root):
    # One object a line, of the master and of the workers.
    said = root.run("laio", "stats", "--json", "nginx")
    decoder, sum_of_all, at = json.JSONDecoder(), 0, 0
    while at < len(said):
        stats, at = decoder.raw_decode(said, at)
        sum_of_all += stats["lanes"]["request_gate"]
        at += len(said[at:]) - len(said[at:].lstrip())
    return sum_of_all


def expect(is_so, what, said=""):
    print(f"  {'ok  ' if is_so else 'FAIL'}  {what}")
    if not is_so:
        sys.exit(f"{said}")


def try_all(root, packages, version, disk):
    site = root.path / "var/www/html"
    names = [f"f{number}.html" for number in range(3 * FILES)]
    for name in names:
        (disk / "mnt" / name).write_bytes(content(name))
    (disk / "mnt").chmod(0o755)
    subprocess.run(["scripts/slow-disk", "cold", disk], check=True)
    subprocess.run(["mount", "--bind", disk / "mnt", site], check=True)
    try:
        parts = [names[at * FILES : (at + 1) * FILES] for at in range(3)]
        steps(root, packages, version, parts)
    finally:
        subprocess.run(["umount", "--lazy", site], check=True)


def steps(root, packages, version, parts):
    # What an earlier run that failed has left.
    root.run("dpkg", "--purge", "laio", "liblaio-dev")
    shutil.rmtree((root.path / DROP_IN).parent, ignore_errors=True)
    for left in ["run/nginx.pid", "var/log/nginx/error.log"]:
        (root.path / left).unlink(missing_ok=True)
    for package in packages:
        shutil.copy(package, root.path / "tmp")
    old, new, dev = [f"/tmp/{package.name}" for package in packages]
    root.run("dpkg", "--install", old, dev)
    expect(version in root.run("dpkg-query", "-W", "laio"), f"installed: laio {version}, liblaio-dev")
    expect(root.run("laio", "--version").split()[1] == version.rsplit("-", 1)[0], "laio --version")
    said = root.run("laio", "check", "nginx", status=(0, 1))
    expect("the library can act in it" in said, "laio check nginx", said)
    said = root.run("laio", "enable", "nginx")
    expect("laio.conf written" in said, "laio enable nginx", said)
    said = root.start()
    expect(not said, "nginx starts, and its dynamic linker says nothing", said)
    wrong = serve(parts[0])
    held = held_back(root)
    expect(wrong == 0 and held > FILES // 2, f"{FILES} cold files, {wrong} wrong, {held} held back")
    log = (root.path / "var/log/nginx/error.log").read_text()
    expect("holds back cold requests in nginx" in log, "its error.log says so", log)
    root.run("dpkg", "--install", new)
    wrong = serve(parts[1])
    held, before = held_back(root), held
    expect(wrong == 0 and held > before + FILES // 2, f"upgraded while it runs: {wrong} wrong, {held - before} more held back")
    expect(all(name.endswith(" (deleted)") for name in root.mapped()), "it has the old file still", root.mapped())
    said = root.run("laio", "doctor", "nginx", status=(0, 1))
    expect("was replaced since" in said, "laio doctor says so", said)
    root.stop()
    root.start()
    expect(not any(name.endswith(" (deleted)") for name in root.mapped()), "restarted, it has the new one", root.mapped())
    root.stop()
    said = root.run("dpkg", "--remove", "laio", "liblaio-dev")
    expect("nginx.service is to be started with the library" in said, "removed while enabled: that is told", said)
    said = root.start()
    expect("cannot be preloaded" in said and serve(parts[2]) == 0, "nginx serves without it", said)
    root.stop()
    root.run("dpkg", "--install", new)
    said = root.run("laio", "disable", "nginx")
    expect("laio.conf removed" in said and not (root.path / DROP_IN).parent.exists(), "laio disable nginx", said)
    said = root.start()
    expect(not said and not root.mapped(), "nginx runs without it", said)
    root.stop()
    said = root.run("dpkg", "--purge", "laio")
    expect("nginx" not in said, "removed without a word", said)
    for package in packages:
        (root.path / "tmp" / package.name).unlink()
    left = root.run("find", "/", "-xdev", "-name", "*laio*", "-not", "-path", "/proc/*")
    expect(not left, "nothing is left behind", left)


def main():
    root, target, version = Root(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    names = [f"debian/laio_{version}", f"package-upgrade/laio_{version}.1", f"debian/liblaio-dev_{version}"]
    packages = [next(target.glob(f"{name}_*.deb")) for name in names]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", root.path / "proc"], check=True)
    subprocess.run(["mount", "--rbind", "/dev", root.path / "dev"], check=True)
    name = (root.path / "etc/os-release").read_text().split('PRETTY_NAME="')[1].split('"')[0]
    nginx = root.run("nginx", "-v").split("/")[-1].strip()
    print(f"{name}, nginx {nginx}, {root.run('ldd', '--version').splitlines()[0]}")
    disk = target / "package-disk"
    try:
        subprocess.run(["scripts/slow-disk", "up", disk], check=True)
        try_all(root, packages, version, disk)
    finally:
        subprocess.run(["scripts/slow-disk", "down", disk], check=True)


if __name__ == "__main__":
    main()
