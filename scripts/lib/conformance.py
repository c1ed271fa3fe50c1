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

INTERPRETER = Path("/usr/bin/python3")
PYTHON_TESTS = "select poll epoll selectors socket os subprocess posix asyncio".split()
# It waits for ever on machines that cannot connect to themselves by vsock.
PYTHON_LEFT_OUT = "*ThreadedVSOCKSocketStreamTest*"

# Where the input is empty they go on for ever, and each time have got to another point when they are ended.
PROGRAMS_LEFT_OUT = {"instmodsh", "vimtutor"}

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

    def programs(self):
        return {one["program"] for one in self.stats}

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
    if way.library is not None:
        shutil.copy(way.library, files / "liblaio.so")
        variables |= {"LD_PRELOAD": "/mnt/liblaio.so", "LAIO_STATS": "/mnt/stats/%p.json", **way.settings}
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


@dataclass
class Comparison:
    """One test file or program with and without."""

    without: Run
    preloaded: Run
    different: list
    unstable: list


@dataclass
class Runs:
    """All runs of one test in one way, made when they are asked for."""

    test: object
    way: Way
    directory: Path
    made: list = field(default_factory=list)

    def number(self, number):
        while len(self.made) <= number:
            place = self.directory / f"{self.way.name}-{len(self.made) + 1}"
            self.made.append(self.test.run(place, self.way))
            (place / "outcomes.json").write_text(json.dumps(self.made[-1].observed, default=repr, indent=1))
        return self.made[number]


def compare(without, preloaded):
    """Compares a test's runs without the library with those in a way: more of them where anything comes out otherwise."""
    names = set()
    for number in range(PAIRS):
        before, after = without.number(number).observed, preloaded.number(number).observed
        names |= {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        if not names:
            break
    different, unstable = [], []
    for name in sorted(names):
        before, after = ([run.observed.get(name) for run in runs.made] for runs in (without, preloaded))
        is_stable = all(each == before[0] for each in before)
        recurs = sum(each != before[0] for each in after) * 2 > PAIRS
        (different if is_stable and recurs else unstable).append((name, before, after))
    return Comparison(without.number(0), preloaded.number(0), different, unstable)


HEADER = ("suite", "library", "tests", "passed", "failed", "skipped", "processes", "looks", "gates", "unstable", "different")


@dataclass
class Line:
    """A line of the table: tests that are counted together, and how they are run beside the run without the library."""

    title: str
    way: Way
    without: list
    at_once: int = 1

    def measure(self):
        def one(without):
            comparison = compare(without, Runs(without.test, self.way, without.directory))
            say(without.test.title, comparison)
            return comparison

        print(f"{self.title}, {self.way.name}", file=sys.stderr, flush=True)
        with ThreadPoolExecutor(self.at_once) as pool:
            self.comparisons = list(pool.map(one, self.without))

    def is_same(self):
        """Tests that did not run, or did so without the library, are no success."""
        programs = set().union(*(each.preloaded.programs() for each in self.comparisons))
        loaded = bool(programs) and {runs.test.program for runs in self.without} - {None} <= programs
        ran = all(each.without.outcomes for each in self.comparisons)
        if not (loaded and ran):
            print(f"{self.title}, {self.way.name}: the {'tests did not run' if loaded else 'library was not loaded'}")
        return loaded and ran and not any(each.different for each in self.comparisons)

    def cells(self):
        """What is counted both ways is written without/with."""

        def both(count):
            without = sum(count(each.without) for each in self.comparisons)
            return f"{without}/{sum(count(each.preloaded) for each in self.comparisons)}"

        def preloaded(count):
            return str(sum(count(each.preloaded) for each in self.comparisons))

        return (
            self.title,
            self.way.name,
            both(lambda run: len(run.outcomes)),
            both(lambda run: run.count("passed")),
            both(lambda run: run.count("failed")),
            both(lambda run: run.count("skipped")),
            preloaded(lambda run: len(run.stats)),
            preloaded(lambda run: run.counted(LOOKS)),
            preloaded(lambda run: run.counted(GATES)),
            str(sum(len(each.unstable) for each in self.comparisons)),
            str(sum(len(each.different) for each in self.comparisons)),
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
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)})"


def print_table(rows):
    columns = list(zip(HEADER, *rows))
    widths = [max(map(len, column)) for column in columns]
    for line in zip(*columns):
        cells = (cell.ljust(width) if at < 2 else cell.rjust(width) for at, (cell, width) in enumerate(zip(line, widths)))
        print("  ".join(cells).rstrip())


def lines(arguments):
    """All lines of the chosen suites, in the order in which they are measured."""

    def without(test):
        return Runs(test, Way("without"), arguments.out / test.title.replace(" ", "/"))

    tests = []
    if "python" in arguments.suites:
        tests += map(PythonTests, PYTHON_TESTS)
    if "lighttpd" in arguments.suites:
        tests += (LighttpdTests(path.stem, path.parent) for path in sorted(arguments.lighttpd_tests.glob("*.t")))
    for test in tests:
        # Both ways are compared with the same runs.
        runs = [without(test)]
        yield Line(test.title, Way("idle", arguments.library), runs)
        yield Line(test.title, Way("engaged", arguments.library, test.engaged), runs)
    if "versions" in arguments.suites:
        programs = sorted(path for path in Path("/usr/bin").iterdir() if path.is_file() and os.access(path, os.X_OK))
        runs = [without(Version(program)) for program in programs]
        yield Line("versions", Way("idle", arguments.library), runs, os.cpu_count())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lighttpd-tests", type=Path)
    parser.add_argument("suites", nargs="+")
    arguments = parser.parse_args()
    measured = []
    for line in lines(arguments):
        line.measure()
        measured.append(line)
    print_table([line.cells() for line in measured])
    return 0 if all([line.is_same() for line in measured]) else 1


if __name__ == "__main__":
    sys.exit(main())
