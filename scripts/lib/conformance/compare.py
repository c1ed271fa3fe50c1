"""Compares runs without the library with runs that have it, test by test, and counts them in a table."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from contain import Run, Way

PAIRS = 3

# Reads that the library looked at before the application had them.
LOOKS = [("lanes", "request_gate"), *(("reasons", r) for r in ("foreign", "refused", "unpredicted", "warm", "repeated"))]
GATES = [("lanes", "request_gate"), ("lanes", "body_gate")]


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


