"""Documents on NFS: the kernel's own server, at the other end of a slow line (the loopback interface, delayed)."""

import itertools
import subprocess
import threading
import time
from pathlib import Path

import site_vm as site

EXPORT = Path("/srv/export")
MOUNTED = Path("/srv/nfs")
LOCAL = Path("/run/local")
# How long an answer of the server's is on its way, and how long it is silent when it hangs.
DELAY, SILENCE = "20ms", 5
VERSIONS, OPTIONS = ("3", "4.2"), ("", "nocto")


def run(*command, may_fail=False):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and not may_fail:
        raise OSError(f"{command}: {done.returncode} {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def line(what):
    """How what the NFS server sends is treated."""
    run("tc", "qdisc", "replace", "dev", "lo", "parent", "1:3", "handle", "30:", "netem", "limit", "100000", *what.split())


def serve():
    """Starts the server. Its files are in its memory: what takes long is the way."""
    if EXPORT.exists():
        return
    EXPORT.mkdir(parents=True)
    MOUNTED.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "tmpfs", EXPORT)
    run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd", may_fail=True)
    run("mount", "-t", "rpc_pipefs", "rpc_pipefs", "/run/rpc_pipefs", may_fail=True)
    for seconds in ("nfsv4gracetime", "nfsv4leasetime"):
        Path("/proc/fs/nfsd", seconds).write_text("10")
    Path("/etc/exports").write_text(f"{EXPORT} 127.0.0.1(ro,fsid=1,no_subtree_check,no_root_squash,insecure)\n")
    Path("/run/rpcbind").mkdir(exist_ok=True)
    run("rpcbind", "-w", may_fail=True)
    run("rpc.statd", "--no-notify", may_fail=True)
    run("exportfs", "-a")
    run("rpc.nfsd", "16")
    run("rpc.mountd")
    # The grace period, in which nothing can be opened by version 4.
    run("sh", "-c", "echo Y >/proc/fs/nfsd/v4_end_grace", may_fail=True)
    run("tc", "qdisc", "add", "dev", "lo", "root", "handle", "1:", "prio", "bands", "3", "priomap", *"0" * 16)
    line(f"delay {DELAY}")
    run("tc", "filter", "add", "dev", "lo", "protocol", "ip", "parent", "1:0", "prio", "1",
        *"u32 match ip protocol 6 0xff match ip sport 2049 0xffff flowid 1:3".split())  # fmt: skip


class Mounted:
    """The directory, mounted anew: nothing of it is in memory."""

    def __init__(self, version, options):
        extra = f",{options}" if options else ""
        run("mount", "-t", "nfs", "-o", f"vers={version}{extra}", f"127.0.0.1:{EXPORT}", MOUNTED)
        mounts = Path("/proc/mounts").read_text().splitlines()
        self.shown = next(each.split()[3] for each in mounts if f" {MOUNTED} " in each)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run("umount", MOUNTED)


def row_of(version, options, server, is_preloaded):
    return {"fs": f"NFS {version}", "options": options, "server": server, "preloaded": is_preloaded}


def calls():
    """How often the client has asked the server, by procedure."""
    counts = {}
    for each in Path("/proc/self/mountstats").read_text().split(f"mounted on {MOUNTED} ")[1].split("device ")[0].splitlines():
        words = each.split()
        if len(words) > 8 and words[0].endswith(":") and words[0][:-1].isupper() and int(words[1]):
            counts[words[0][:-1]] = int(words[1])
    return counts


def cold(version, options, server, is_preloaded, documents):
    with Mounted(version, options) as mounted:
        running = site.Server(server, MOUNTED, LOCAL, is_preloaded)
        beside = site.Beside(running.port, "beside.html")
        before = running.stats()
        row = row_of(version, options, server, is_preloaded) | {"mount": mounted.shown}
        row |= site.load(running.port, documents) | beside.end()
        row |= site.counted(before, running.stats()) | {"calls": calls(), "said": running.said()}
        if is_preloaded:
            row["doctor"] = running.doctor()
        # What was asked for lately is asked for again.
        again = running.stats()
        warm = site.load(running.port, documents)
        row |= {f"again_{name}": value for name, value in warm.items()}
        row |= {f"again_{name}": value for name, value in site.counted(again, running.stats()).items()}
        running.end()
    return row


def waited_in(process):
    """In which system calls the server's own thread was found to wait while the NFS server was silent, and where in the kernel."""
    found = []
    for _ in range(SILENCE):
        time.sleep(1)
        thread = Path(f"/proc/{process}/task/{process}")
        stack = [line.split()[-1].split("+")[0] for line in (thread / "stack").read_text().splitlines()]
        found.append(" ".join([(thread / "syscall").read_text().split()[0], *stack[:12]]))
    return found


def silent(version, options, server, is_preloaded, documents):
    """The server is silent for some seconds, in which cold documents are asked for, and others beside them."""
    with Mounted(version, options):
        pinned = {"LAIO_MAP": f"/={MOUNTED}/,/local/={LOCAL}/local/"}
        running = site.Server(server, MOUNTED, LOCAL, is_preloaded, **pinned)
        # The library has seen where documents are, of both kinds.
        first = site.load(running.port, documents[:8])
        beside = site.Beside(running.port, "beside.html")
        time.sleep(1)
        beside.times.clear()
        before = running.stats()
        line(f"delay {DELAY} loss 100%")
        row = row_of(version, options, server, is_preloaded) | {"silent": SILENCE}
        result = {}
        asking = threading.Thread(target=lambda: result.update(site.load(running.port, documents[8:])))
        asking.start()
        waits = waited_in(running.process.pid)
        during = len(beside.times)
        line(f"delay {DELAY}")
        asking.join()
        row |= result | beside.end() | {"beside_during": during, "first_wrong": first["wrong"], "waits": waits}
        row |= site.counted(before, running.stats()) | {"said": running.said()}
        running.end()
    return row


def each(options, documents, act):
    serve()
    site.lay(EXPORT, documents)
    rows = []
    for way in itertools.product(VERSIONS, options, site.SERVERS, (False, True)):
        rows.append(act(*way, documents))
        print("   ", site.told(rows[-1]), flush=True)
    return rows


def all_cold():
    return each(OPTIONS, site.names("n", 60, 4), cold)


def all_silent():
    return each(("",), site.names("h", 24, 2), silent)
