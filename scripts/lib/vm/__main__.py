"""What is seen in the virtual machine: `scripts/lib/vm PART...`. Each part leaves a file in /tmp/results."""

import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

import nfs
import site_vm as site
from disk import Disk

RESULTS = Path("/tmp/results")
LOCAL = Path("/run/local")


def say(text):
    print(f"{time.monotonic():7.1f} s  {text}", flush=True)


def cold(server, disk):
    """One server over cold documents of the slow disk, stock and preloaded."""
    rows = []
    for is_preloaded in (False, True):
        disk.cold()
        running = site.Server(server, disk.root, LOCAL, is_preloaded)
        beside = site.Beside(running.port, "beside.html")
        before = running.stats()
        row = {"fs": "ext4", "options": "", "server": server, "preloaded": is_preloaded}
        row |= site.load(running.port, disk.documents) | beside.end()
        row |= site.counted(before, running.stats()) | {"said": running.said()}
        if is_preloaded:
            row["doctor"] = running.doctor()
        running.end()
        rows.append(row)
        say(site.told(row))
    return rows


def servers():
    disk = Disk()
    return [row for server in site.SERVERS for row in cold(server, disk)]


def check():
    """What `laio check` says of the servers that this system has."""
    rows = []
    for server in site.SERVERS:
        done = subprocess.run([site.COMMAND, "check", server], capture_output=True, text=True)
        rows.append({"server": server, "status": done.returncode, "text": done.stdout + done.stderr})
        say(f"laio check {server}: status {done.returncode}")
    return rows


def version(text):
    return [int(number) for number in text.split("-")[0].split(".")[:2]]


def programs():
    """The project's own tests, as they were built: the same program with and without the library."""
    rows = []
    for line in Path("tests.list").read_text().splitlines():
        since, binary, *names = line.split()
        if version(os.uname().release) < version(since):
            continue
        row = {"tests": Path(binary).name, "passed": 0, "failed": [], "skipped": []}
        for name in names:
            command = [binary, name, "--test-threads=1"]
            done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LAIO_TEST_PATIENCE": "20"})
            with open(RESULTS / f"{row['tests']}.log", "a") as log:
                log.write(done.stdout + done.stderr)
            for told in done.stdout.splitlines():
                if told.startswith("test ") and " ... " in told:
                    test, _, result = told[5:].rpartition(" ... ")
                    if result == "ok":
                        row["passed"] += 1
                    else:
                        row["skipped" if result.startswith("ignored") else "failed"].append(test)
            say(f"{row['tests']} {name}: {row['passed']} passed, failed: {row['failed']}, skipped: {row['skipped']}")
        rows.append(row)
    return rows


PARTS = {"check": check, "servers": servers, "programs": programs, "nfs": nfs.all_cold, "silent": nfs.all_silent}


def main():
    RESULTS.mkdir(parents=True, exist_ok=True)
    site.lay(LOCAL / "local", ["beside.html"])
    kernel = os.uname().release
    say(f"Linux {kernel}")
    for part in sys.argv[1:]:
        try:
            rows = PARTS[part]()
        except Exception:  # What is left is still to be seen, and the rest to be handed out.
            traceback.print_exc()
            rows = [{"failed": traceback.format_exc()}]
        (RESULTS / f"{part}.json").write_text(json.dumps({"kernel": kernel, "rows": rows}, indent=1))
    say("done")


main()
