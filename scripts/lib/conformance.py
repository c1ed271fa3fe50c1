"""Other people's tests with and without the library, compared test by test (scripts/conformance).

A test that comes out otherwise is run again, three pairs in all. It counts as different where at least two of the three
differ, and as unstable where it already differs from itself without the library.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

CONTAINED = Path(__file__).with_name("contained")
PAIRS = 3

PYTHON_TESTS = "select poll epoll selectors socket os subprocess posix asyncio".split()
# It waits for ever on machines that cannot connect to themselves by vsock.
PYTHON_LEFT_OUT = "*ThreadedVSOCKSocketStreamTest*"

# A loop looks at every request from the beginning, no path is taken to be in memory because it was, and no device is too
# fast for a gate: whatever can be held back is.
ENGAGED = {"LAIO_QUIET_MS": "86400000", "LAIO_WARM_MS": "0", "LAIO_BREAK_EVEN_US": "0"}

# Reads that the library looked at before the application had them.
LOOKS = [("lanes", "request_gate"), *(("reasons", r) for r in ("foreign", "refused", "unpredicted", "warm"))]
GATES = [("lanes", "request_gate"), ("lanes", "body_gate")]


@dataclass
class Way:
    """How a program is run: without the library, or with it and these settings."""

    name: str
    library: Path | None = None
    settings: dict = field(default_factory=dict)

    def environment(self):
        if self.library is None:
            return {}
        return {"LD_PRELOAD": str(self.library), "LAIO_STATS": "/mnt/stats/%p.json", **self.settings}


@dataclass
class Run:
    """What came of one run: the outcome of each test, and what else there is to compare."""

    outcomes: dict = field(default_factory=dict)
    beside: dict = field(default_factory=dict)
    stats: list = field(default_factory=list)

    @cached_property
    def observed(self):
        return {**self.outcomes, **self.beside}

    def count(self, outcome):
        return sum(each == outcome for each in self.outcomes.values())

    def counted(self, counters):
        return sum(one[group][name] for one in self.stats for group, name in counters)


def run(directory, way, command, seconds, prepare=lambda files: None):
    """Runs a command contained in a fresh directory, which it finds at /mnt. Returns status, output and counters."""
    shutil.rmtree(directory, ignore_errors=True)
    files = directory / "files"
    for name in ("home", "tmp", "stats"):
        (files / name).mkdir(parents=True)
    # Some tests have children that are somebody else.
    for name in ("tmp", "stats"):
        (files / name).chmod(0o1777)
    prepare(files)
    variables = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", "HOME": "/mnt/home", "TMPDIR": "/mnt/tmp"}
    variables |= way.environment()
    # `env` is the last that runs without the library.
    words = [CONTAINED, directory, "env", "-i", *(f"{name}={value}" for name, value in variables.items()), *command]
    with open(directory / "stdout", "wb") as out, open(directory / "stderr", "wb") as error:
        try:
            status = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=error, timeout=seconds, start_new_session=True
            ).returncode
        except subprocess.TimeoutExpired:
            status = "timed out"
    stats = [json.loads(path.read_bytes()) for path in (files / "stats").glob("*.json")]
    return status, stats


class PythonTests:
    """One test file of CPython's."""

    def __init__(self, name):
        self.title = f"python test_{name}"
        self.name = name
        self.settings = {**ENGAGED, "LAIO_MAP": "/=/mnt/tmp/"}

    def run(self, directory, way):
        command = ["/usr/bin/python3", "-m", "test", "-v", "--ignore", PYTHON_LEFT_OUT, "--tempdir", "/mnt/tmp"]
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

    def __init__(self, name, source):
        self.title = f"lighttpd {name}"
        self.name = name
        self.source = source
        self.settings = {**ENGAGED, "LAIO_MAP": "/=/mnt/tests/tmp/lighttpd/servers/www.example.org/pages/"}

    def run(self, directory, way):
        script = f'cd tests && ./prepare.sh && LIGHTTPD_EXE_PATH=/usr/sbin/lighttpd exec perl "./{self.name}.t"'
        status, stats = run(
            directory, way, ["sh", "-c", script], 300, lambda files: shutil.copytree(self.source, files / "tests")
        )
        result = Run(beside={"exit status": status}, stats=stats)
        # They come in an order of their own each time, and several may have one name.
        seen = Counter()
        for line in (directory / "stdout").read_text(errors="replace").splitlines():
            if found := re.fullmatch(r"(not )?ok \d+(?: - (.*?))?(?: (# skip.*))?", line, re.IGNORECASE):
                failed, name, skipped = found.groups()
                seen[name] += 1
                outcome = "skipped" if skipped else "failed" if failed else "passed"
                result.outcomes[f"{name}, number {seen[name]}"] = outcome
        return result


class Version:
    """`--version` of one program."""

    def __init__(self, program):
        self.title = program.name
        self.program = program
        self.settings = {}

    def run(self, directory, way):
        status, stats = run(directory, way, [self.program, "--version"], 10)
        beside = {name: (directory / name).read_bytes() for name in ("stdout", "stderr")} | {"exit status": status}
        return Run({"--version": "passed" if status == 0 else "failed"}, beside, stats)


@dataclass
class Comparison:
    """One test file or program with and without."""

    without: Run
    preloaded: Run
    different: list
    unstable: list


def compare(test, directory, stock, preloaded):
    """Runs the test both ways; again where anything comes out otherwise."""
    runs = {stock.name: [], preloaded.name: []}
    names = set()
    for number in range(1, PAIRS + 1):
        for way in (stock, preloaded):
            runs[way.name].append(test.run(directory / f"{way.name}-{number}", way))
        without, with_it = (runs[way.name][-1].observed for way in (stock, preloaded))
        names |= {name for name in without.keys() | with_it.keys() if without.get(name) != with_it.get(name)}
        if not names:
            break
    different, unstable = [], []
    for name in sorted(names):
        without, with_it = ([each.observed.get(name) for each in runs[way.name]] for way in (stock, preloaded))
        recurs = sum(each != without[0] for each in with_it) * 2 > PAIRS
        is_stable = all(each == without[0] for each in without)
        (different if recurs and is_stable else unstable).append((name, without, with_it))
    first = (runs[way.name][0] for way in (stock, preloaded))
    return Comparison(*first, different, unstable)


HEADER = ("suite", "library", "tests", "passed", "failed", "skipped", "processes", "looks", "gates", "unstable", "different")


def row(title, way, comparisons):
    """A line of the table: what is counted both ways is written without/with."""

    def both(count):
        sides = ((each.without for each in comparisons), (each.preloaded for each in comparisons))
        return "{}/{}".format(*(sum(map(count, side)) for side in sides))

    def loaded(count):
        return str(sum(count(each.preloaded) for each in comparisons))

    return (
        title,
        way.name,
        both(lambda run: len(run.outcomes)),
        *(both(lambda run, outcome=outcome: run.count(outcome)) for outcome in ("passed", "failed", "skipped")),
        loaded(lambda run: len(run.stats)),
        loaded(lambda run: run.counted(LOOKS)),
        loaded(lambda run: run.counted(GATES)),
        str(sum(len(each.unstable) for each in comparisons)),
        str(sum(len(each.different) for each in comparisons)),
    )


def say(title, comparison):
    """Tells what came out otherwise, and how."""
    for kind in ("different", "unstable"):
        for name, without, with_it in getattr(comparison, kind):
            print(f"{kind}: {title}: {name}")
            for words, values in (("without", without), ("with", with_it)):
                print(f"    {words}:", ", ".join(brief(value) for value in values))


def brief(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)})"


def print_table(rows):
    columns = list(zip(HEADER, *rows))
    widths = [max(map(len, column)) for column in columns]
    for line in zip(*columns):
        cells = (cell.ljust(width) if at < 2 else cell.rjust(width) for at, (cell, width) in enumerate(zip(line, widths)))
        print("  ".join(cells).rstrip())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lighttpd-tests", type=Path)
    parser.add_argument("--only", help="test files or programs with this name")
    parser.add_argument("suites", nargs="+")
    arguments = parser.parse_args()
    stock = Way("without")
    rows = []
    everything_is_same = True

    def measure(suite, tests, way_name, engaged, at_once=1, together=False):
        nonlocal everything_is_same

        def one(test):
            way = Way(way_name, arguments.library, test.settings if engaged else {})
            return compare(test, arguments.out / suite / test.title.replace(" ", "-") / way_name, stock, way)

        with ThreadPoolExecutor(at_once) as pool:
            comparisons = []
            for test, comparison in zip(tests, pool.map(one, tests)):
                comparisons.append(comparison)
                say(test.title, comparison)
                if not together:
                    rows.append(row(test.title, Way(way_name), [comparison]))
                    print("  ".join(rows[-1]), flush=True)
                    everything_is_same &= bool(comparison.preloaded.stats and comparison.without.outcomes)
                everything_is_same &= not comparison.different
        if together:
            rows.append(row(suite, Way(way_name), comparisons))
            everything_is_same &= any(each.preloaded.stats for each in comparisons)

    if "python" in arguments.suites:
        tests = [PythonTests(name) for name in PYTHON_TESTS]
        measure("python", tests, "idle", False)
        measure("python", tests, "engaged", True)
    if "lighttpd" in arguments.suites:
        tests = [LighttpdTests(path.stem, path.parent) for path in sorted(arguments.lighttpd_tests.glob("*.t"))]
        measure("lighttpd", tests, "idle", False)
        measure("lighttpd", tests, "engaged", True)
    if "versions" in arguments.suites:
        programs = sorted(path for path in Path("/usr/bin").iterdir() if path.is_file() and os.access(path, os.X_OK))
        tests = [Version(program) for program in programs]
        measure("versions", tests, "idle", False, os.cpu_count(), together=True)
    print_table(rows)
    return 0 if everything_is_same else 1


if __name__ == "__main__":
    sys.exit(main())
