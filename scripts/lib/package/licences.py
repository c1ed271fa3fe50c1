"""The licences of all that is compiled into the library and the command, as one text. Fails where one is not known or not wanted."""

import json
import re
import subprocess
import sys
from pathlib import Path

WANTED = {
    "MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT-0",
    "Unicode-3.0", "Unlicense", "Zlib", "0BSD",
}
PACKAGES = ["laio-preload", "laio-cli"]
NAMES = re.compile(r"(licen[cs]e|copying|copyright|unlicense|notice)", re.IGNORECASE)


def cargo(*words):
    return subprocess.run(["cargo", *words], check=True, capture_output=True, text=True).stdout


def compiled():
    """Name and version of what is linked into them, without what builds them."""
    lines = []
    for package in PACKAGES:
        lines += cargo("tree", "--locked", "--package", package, "--edges", "normal,no-proc-macro", "--prefix", "none").splitlines()
    words = (line.split() for line in lines if line)
    return {(name, version.lstrip("v")) for name, version, *_ in words if not name.startswith("laio-")}


def is_wanted(expression):
    """One of the alternatives, with all of its parts."""
    plain = expression.replace("/", " OR ").replace("(", " ").replace(")", " ")
    if " AND " in plain and " OR " in plain:
        # Each part is an alternative of its own.
        return all(is_wanted(part) for part in re.split(r" AND ", plain))
    if " AND " in plain:
        return all(part.strip() in WANTED for part in plain.split(" AND "))
    return any(part.strip() in WANTED for part in plain.split(" OR "))


def main():
    known = json.loads(cargo("metadata", "--locked", "--format-version", "1"))["packages"]
    known = {(package["name"], package["version"]): package for package in known}
    texts, problems = {}, []
    print("liblaio.so and laio contain, beside the code of the project, these parts.\n")
    print("the standard library of Rust: MIT OR Apache-2.0")
    for name, version in sorted(compiled()):
        package = known[name, version]
        licence = package["license"] or "unknown"
        print(f"{name} {version}: {licence}")
        if not is_wanted(licence):
            problems.append(f"{name} {version}: {licence}")
        directory = Path(package["manifest_path"]).parent
        files = [file for file in sorted(directory.iterdir()) if file.is_file() and NAMES.match(file.name)]
        if not files:
            # Crates of a workspace often leave the text to the workspace; the name of the licence stands above.
            texts.setdefault(f"(no text of its own; authors: {', '.join(package['authors']) or 'see its repository'})", []).append(name)
        for file in files:
            texts.setdefault(file.read_text(errors="replace").strip(), []).append(name)
    for text, names in texts.items():
        print(f"\n{'-' * 80}\n{', '.join(dict.fromkeys(names))}\n\n{text}")
    for problem in problems:
        print(f"licences: not known to be fit: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
