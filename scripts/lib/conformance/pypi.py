"""Tests of event loops from PyPI: Tornado's, Twisted's and gevent's own, in a virtual environment that is laid beneath /mnt."""

import json
import re
import shutil
from pathlib import Path

from contain import ENGAGED, INTERPRETER, Run, run

RECORD = Path(__file__).with_name("record.py")
PYTHON = "/mnt/bin/python"

# What Trial prints for each test. What else is printed meanwhile stands before or after it.
TRIAL_OUTCOMES = {"OK": "passed", "TODO": "passed", "SKIPPED": "skipped"}
TRIAL_OUTCOMES |= {"FAILURE": "failed", "ERROR": "failed", "SUCCESS!?!": "failed"}
TRIAL_LINE = re.compile(rf"^(twisted\S+) \.\.\. .*?\[({'|'.join(map(re.escape, TRIAL_OUTCOMES))})\]", re.MULTILINE | re.DOTALL)

# Sockets, servers, loops, files, processes and signals. Left out are greenlets, locks, queues and threads, of which the library
# sees nothing; resolvers and TLS clients, which ask hosts outside; CPython's own tests, which have a suite here; and
# test__issue1686, which waits for ever without the library.
GEVENT_TESTS = """
    backdoor close_backend_fd core core_async core_fork core_loop_run core_stat core_watcher destroy destroy_default_loop
    example_echoserver example_portforwarder example_udp_client example_udp_server example_wsgiserver example_wsgiserver_ssl
    fileobject greenio hub issue600 issue2013 loop_callback makefile_ref monkey_fork_atomic monkey_futures_thread_fork
    monkey_select monkey_selectors monkey_sigchld monkey_sigchld_2 monkey_sigchld_3 monkey_sigchld_wakeup_fd nondefaultloop os
    pywsgi select selectors server server_pywsgi signal socket socket_close socket_errors socket_ex socket_send_memoryview
    socket_timeout socketpair ssl subprocess subprocess_interrupted subprocess_poll threading_fork_from_dummy
""".split()


class Recorded:
    """A module of unit tests, with the outcomes that `record.py` writes."""

    program = INTERPRETER.resolve().name
    # Environment variables.
    settings = ()

    def __init__(self, title, packages, module):
        self.title = title
        self.packages = packages
        self.module = module
        self.modules = Path("/mnt", *next(packages.glob("lib/python3*/site-packages")).parts[-3:])
        self.engaged = {**ENGAGED, "LAIO_MAP": "/=/mnt/tmp/"}

    def run(self, directory, way):
        command = [*self.settings, PYTHON, "-u", "/mnt/record.py", self.module]
        status, stats = run(directory, way, command, 300, lambda files: shutil.copy(RECORD, files), self.packages)
        result = Run(beside={"exit status": status}, stats=stats)
        try:
            recorded = json.loads((directory / "files/outcomes.json").read_bytes())
        except OSError:
            # A script without unit tests, or one that has not come so far.
            recorded = [("the script", "passed" if status == 0 else "failed")]
        for name, outcome in recorded:
            result.add(name, outcome)
        return result


class TornadoTests(Recorded):
    """All of Tornado's, less a few that it calls unreliable on slow machines, such as those with limits of 100 ms."""

    settings = ("EMULATION=1",)

    def __init__(self, packages):
        super().__init__("tornado", packages, "tornado.test.runtests")
        files = f"{self.modules}/tornado/test/static/"
        self.engaged["LAIO_MAP"] = f"/={files},/static/={files}"


class GeventTests(Recorded):
    """One file of gevent's: each needs a process of its own."""

    def __init__(self, packages, name):
        super().__init__(f"gevent {name}", packages, f"gevent.tests.test__{name}")
        # TRAVIS: limits of 15 s in place of 2. Some import files that lie beside them.
        self.settings = ["GEVENTTEST_USE_RESOURCES=-network", "TRAVIS=1", f"PYTHONPATH={self.modules}/gevent/tests"]


class TwistedTests:
    """A package of Twisted's tests, run by Trial."""

    program = INTERPRETER.resolve().name
    engaged = {**ENGAGED, "LAIO_MAP": "/=/mnt/_trial_temp/"}

    def __init__(self, packages, name):
        self.title = f"twisted {name}"
        self.packages = packages
        self.name = name

    def run(self, directory, way):
        command = [PYTHON, "-m", "twisted.trial", "--reporter=bwverbose", f"twisted.{self.name}.test"]
        status, stats = run(directory, way, command, 300, beneath=self.packages)
        result = Run(beside={"exit status": status}, stats=stats)
        output = (directory / "stdout").read_text(errors="replace")
        for name, outcome in TRIAL_LINE.findall(output):
            result.add(name, TRIAL_OUTCOMES[outcome])
        return result
