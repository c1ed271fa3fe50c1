"""Other people's tests with and without the library, compared test by test (scripts/conformance).

A test that comes out otherwise is run again, three pairs in all. It counts as different where at least two of the three
differ, and as unstable where it already differs from itself without the library.
"""

import argparse
import os
import sys
from pathlib import Path

from compare import Line, Runs, print_table
from contain import Way
from debian import PYTHON_TESTS, REDIS_UNITS, LighttpdTests, PythonTests, RedisTests, Version
from pypi import GEVENT_TESTS, GeventTests, TornadoTests, TwistedTests

# Of files and programs that are counted in one line.
AT_ONCE = os.cpu_count()


def measured_together(suite, options):
    """Titles and tests that are counted in one line, and how many of these run at once."""
    if suite == "python":
        for test in map(PythonTests, PYTHON_TESTS):
            yield test.title, [test], 1
    elif suite == "lighttpd":
        for path in sorted((options.lighttpd / "tests").glob("*.t")):
            test = LighttpdTests(path.stem, path.parent)
            yield test.title, [test], 1
    elif suite == "tornado":
        yield suite, [TornadoTests(options.packages)], 1
    elif suite == "twisted":
        for test in (TwistedTests(options.packages, name) for name in ("internet", "web")):
            yield test.title, [test], 1
    elif suite == "gevent":
        yield suite, [GeventTests(options.packages, name) for name in GEVENT_TESTS], AT_ONCE
    elif suite == "redis":
        yield suite, [RedisTests(unit, options.redis) for unit in REDIS_UNITS], AT_ONCE
    elif suite == "versions":
        programs = sorted(path for path in Path("/usr/bin").iterdir() if path.is_file() and os.access(path, os.X_OK))
        yield suite, [Version(program) for program in programs], AT_ONCE


def lines(options):
    """All lines of the chosen suites, in the order in which they are measured."""
    idle = Way("idle", options.library)
    for suite in options.suites:
        for title, tests, at_once in measured_together(suite, options):
            # Both ways are compared with the same runs.
            without = [Runs(test, Way("without"), options.out / test.title.replace(" ", "/")) for test in tests]
            yield Line(title, idle, without, at_once)
            if suite != "versions":
                yield Line(title, Way("engaged", options.library, tests[0].engaged), without, at_once)


def main():
    parser = argparse.ArgumentParser()
    for name in ("library", "out", "lighttpd", "redis", "packages"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("suites", nargs="+")
    options = parser.parse_args()
    measured = []
    for line in lines(options):
        line.measure()
        measured.append(line)
    print_table([line.cells() for line in measured])
    return 0 if all([line.is_same() for line in measured]) else 1


if __name__ == "__main__":
    sys.exit(main())
