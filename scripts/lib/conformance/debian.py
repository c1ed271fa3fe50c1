"""Tests of what Debian has installed: CPython's, lighttpd's and Redis's own, and `--version` of every program."""

import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from contain import ENGAGED, INTERPRETER, Run, run

PYTHON_TESTS = "select poll epoll selectors socket os subprocess posix asyncio ssl".split()
# It waits for ever on machines that cannot connect to themselves by vsock.
PYTHON_LEFT_OUT = "*ThreadedVSOCKSocketStreamTest*"

# Types and commands; expiry; background saves and rewrites, which fork; `fsync` of the append-only file; replication. Left out are
# units that put random load on servers for 20 s or longer, and those about computing, memory, scripts, modules and clusters.
REDIS_UNITS = """
    unit/acl unit/aofrw unit/auth unit/expire unit/info unit/keyspace unit/limits unit/multi unit/networking unit/other
    unit/protocol unit/pubsub unit/querybuf unit/quit unit/scan unit/shutdown unit/slowlog
    unit/type/hash unit/type/incr unit/type/list unit/type/set unit/type/stream unit/type/string unit/type/zset
    integration/aof integration/aof-multi-part integration/failover integration/logging integration/psync2-master-restart
    integration/rdb integration/redis-benchmark integration/redis-cli integration/replication-2 integration/replication-3
    integration/replication-buffer integration/shutdown
""".split()
REDIS_OUTCOMES = {"ok": "passed", "err": "failed", "exception": "failed", "skip": "skipped", "ignore": "skipped"}
# The test's file stands behind its name where it has failed, and how long it took where it has not.
REDIS_LINE = re.compile(r"^\[(%s)\]: (.*?)(?: in \S+\.tcl| \(\d+ ms\))?$" % "|".join(REDIS_OUTCOMES), re.MULTILINE)

# Where the input is empty they go on for ever, and each time have got to another point when they are ended.
PROGRAMS_LEFT_OUT = {"instmodsh", "vimtutor"}


class PythonTests:
    """One test file of CPython's."""

    program = INTERPRETER.resolve().name

    def __init__(self, name):
        self.title = f"python test_{name}"
        self.name = name
        self.engaged = {**ENGAGED, "LAIO_MAP": "/=/mnt/tmp/"}

    def run(self, directory, way):
        command = [INTERPRETER, "-m", "test", "-v", "--ignore", PYTHON_LEFT_OUT, "--tempdir", "/mnt/tmp"]
        command += ["--junit-xml", "/mnt/results.xml", f"test_{self.name}"]
        status, stats = run(directory, way, command, 900)
        result = Run(beside={"exit status": status}, stats=stats)
        try:
            cases = ElementTree.parse(directory / "files/results.xml").iter("testcase")
        except (OSError, ElementTree.ParseError):
            return result
        for case in cases:
            # A case that fails in a subtest is left without a name.
            name = case.get("name") or f"(without a name, {len(result.outcomes)})"
            tags = {element.tag for element in case}
            if case.get("name") is None or tags & {"failure", "error"} or case.get("outcome"):
                result.outcomes[name] = "failed"
            else:
                result.outcomes[name] = "skipped" if "skipped" in tags else "passed"
        return result


class LighttpdTests:
    """One file of lighttpd's test suite, run on the lighttpd that is installed."""

    program = "lighttpd"

    def __init__(self, name, source):
        self.title = f"lighttpd {name}"
        self.name = name
        self.source = source
        self.engaged = {**ENGAGED, "LAIO_MAP": "/=/mnt/tests/tmp/lighttpd/servers/www.example.org/pages/"}

    def run(self, directory, way):
        script = f'cd tests && ./prepare.sh && LIGHTTPD_EXE_PATH=/usr/sbin/lighttpd exec perl "./{self.name}.t"'
        status, stats = run(
            directory, way, ["sh", "-c", script], 300, lambda files: shutil.copytree(self.source, files / "tests")
        )
        result = Run(beside={"exit status": status}, stats=stats)
        # They come in an order of their own each time.
        for line in (directory / "stdout").read_text(errors="replace").splitlines():
            if found := re.fullmatch(r"(not )?ok \d+(?: - (.*?))?(?: (# skip.*))?", line, re.IGNORECASE):
                failed, name, skipped = found.groups()
                result.add(name, "skipped" if skipped else "failed" if failed else "passed")
        return result


class Version:
    """`--version` of one program: passed where its status is 0."""

    # Not all can be preloaded.
    program = None

    def __init__(self, path):
        self.title = f"versions {path.name}"
        self.path = path

    def run(self, directory, way):
        if self.path.name in PROGRAMS_LEFT_OUT:
            directory.mkdir(parents=True, exist_ok=True)
            return Run({"--version": "skipped"})
        status, stats = run(directory, way, [self.path, "--version"], 20)
        beside = {"--version": (status, *((directory / name).read_bytes() for name in ("stdout", "stderr")))}
        return Run({"--version": "passed" if status == 0 else "failed"}, beside, stats)


class RedisTests:
    """One unit of Redis's test suite, run on the Redis that is installed."""

    program = Path("/usr/bin/redis-server").resolve().name
    engaged = {**ENGAGED, "LAIO_MAP": "/=/mnt/tests/tmp/"}

    def __init__(self, name, source):
        self.title = f"redis {name}"
        self.name = name
        self.source = source

    def prepare(self, files):
        for name in ("tests", "utils"):
            shutil.copytree(self.source / name, files / name)
        (files / "src").mkdir()
        for path in Path("/usr/bin").glob("redis-*"):
            (files / "src" / path.name).symlink_to(path)

    def run(self, directory, way):
        command = ["tclsh", "tests/test_helper.tcl", "--single", self.name, "--clients", "1"]
        status, stats = run(directory, way, command, 300, self.prepare)
        result = Run(beside={"exit status": status}, stats=stats)
        output = re.sub(r"\x1b\[[0-9;]*m", "", (directory / "stdout").read_text(errors="replace"))
        for outcome, name in REDIS_LINE.findall(output):
            result.add(name, REDIS_OUTCOMES[outcome])
        return result
