"""How a command is run: contained, without the library or with it, and what came of it."""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

CONTAINED = Path(__file__).parent.with_name("contained")

INTERPRETER = Path("/usr/bin/python3")

# A loop looks at every request from the beginning, no path is taken to be in memory because it was, and no device is too
# fast for a gate: whatever can be held back is.
ENGAGED = {"LAIO_ARMED_MS": "86400000", "LAIO_WARM_MS": "0", "LAIO_BREAK_EVEN_US": "0"}


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

    def add(self, name, outcome):
        """Several tests may have one name."""
        numbered, number = name, 1
        while numbered in self.outcomes:
            number += 1
            numbered = f"{name}, number {number}"
        self.outcomes[numbered] = outcome


def run(directory, way, command, seconds, prepare=lambda files: None, beneath=None):
    """Runs a command contained in a fresh directory, which it finds at /mnt, with the files of `beneath`.

    The command may begin with assignments to environment variables. Returns status and counters; output stays in the directory.
    """
    shutil.rmtree(directory, ignore_errors=True)
    files = directory / "files"
    for name in ("home", "tmp", "stats"):
        (files / name).mkdir(parents=True)
    # Some tests have children that are somebody else.
    for name in ("tmp", "stats"):
        (files / name).chmod(0o1777)
    if beneath is not None:
        (directory / ".lower").symlink_to(beneath)
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
    return status, [one for path in (files / "stats").glob("*.json") if (one := counters(path))]


def counters(path):
    """Reads what a process wrote when it ended: nothing where it was killed meanwhile, as when its parent ends as well."""
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError:
        return None
