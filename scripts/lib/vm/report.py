"""The results of virtual machines as tables, in Markdown: `report.py DIRECTORY...`, each that of a kernel."""

import json
import sys
from pathlib import Path


def read(directory, part):
    file = directory / "results" / f"{part}.json"
    return json.loads(file.read_text()) if file.exists() else None


def table(heading, rows):
    if rows:
        print(f"\n| {' | '.join(heading)} |\n|{'---|' * len(heading)}")
        for row in rows:
            print(f"| {' | '.join(str(cell) for cell in row)} |")


def pairs(rows):
    """Each run without the library, with that of the same kind with it."""
    stock = {}
    for row in rows:
        key = tuple(row.get(name) for name in ("fs", "options", "server", "silent"))
        if row["preloaded"]:
            yield stock[key], row
        else:
            stock[key] = row


def wrong(*rows):
    return sum(row.get(name, 0) for row in rows for name in ("wrong", "beside_wrong", "again_wrong", "first_wrong"))


def cold(kernel, rows):
    for stock, laio in pairs(row for row in rows if "silent" not in row):
        ratio = stock["seconds"] / laio["seconds"]
        held = f"{laio['request_gate']} + {laio['body_gate']}"
        beside = f"{stock['beside_p50_ms']:.0f} → {laio['beside_p50_ms']:.0f}"
        where = " ".join(part for part in (laio["fs"], laio["options"]) if part)
        yield kernel, where, laio["server"], laio["answers"], wrong(stock, laio), held, laio["stall"], f"{ratio:.1f}", beside


def hung(kernel, rows):
    for stock, laio in pairs(row for row in rows if "silent" in row):
        during = f"{stock['beside_during']} → {laio['beside_during']}"
        longest = f"{stock['beside_max_ms'] / 1000:.1f} → {laio['beside_max_ms'] / 1000:.1f}"
        lost = f"{wrong(stock)} → {wrong(laio)}"
        yield kernel, laio["fs"], laio["server"], laio["answers"] + 8, lost, during, longest


def main():
    results = [(read(directory, "check"), directory) for directory in map(Path, sys.argv[1:])]
    failed = False
    colds, hangs, tests, doctors = [], [], [], []
    for check, directory in results:
        for part in ("servers", "nfs", "silent", "programs"):
            found = read(directory, part) or {"kernel": "", "rows": []}
            kernel, rows = found["kernel"], found["rows"]
            # Those of tests have a list there.
            for row in [row for row in rows if isinstance(row.get("failed"), str)]:
                print(f"{kernel}, {part}: {row['failed']}", file=sys.stderr)
                failed = True
                rows.remove(row)
            if part == "programs":
                for row in rows:
                    failed |= bool(row["failed"]) or not row["passed"]
                    tests.append((kernel, row["tests"], row["passed"], "; ".join(row["failed"]) or 0, "; ".join(row["skipped"]) or 0))
                continue
            colds += cold(kernel, rows)
            hangs += hung(kernel, rows)
            failed |= any(wrong(row) for row in rows if "silent" not in row)
            # A server's own timers may be over then.
            failed |= any(wrong(laio) > wrong(stock) for stock, laio in pairs(row for row in rows if "silent" in row))
            for row in [row for row in rows if "doctor" in row and not row["options"]]:
                lines = [line.strip() for line in row["doctor"]["text"].splitlines()]
                told = [line for line in lines if line.startswith(("warn", "FAIL"))]
                doctors.append((kernel, row["fs"], row["server"], row["doctor"]["status"], "; ".join(told + row["said"]) or "-"))
    table(["kernel", "documents on", "server", "answers", "wrong", "held back", "stalls", "cold requests/s, times stock's",
           "cached p50 beside, ms"], colds)  # fmt: skip
    table(["kernel", "server silent for 5 s", "server", "answers", "lost", "answered meanwhile", "longest of those, s"], hangs)
    table(["kernel", "tests", "passed", "failed", "skipped"], tests)
    table(["kernel", "documents on", "server", "`laio doctor`", "what is said"], doctors)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
