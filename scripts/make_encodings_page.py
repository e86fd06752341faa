#!/usr/bin/env python3
"""Writes docs/encodings.md from the comments on top of the files in model/position/.

    python3 scripts/make_encodings_page.py            writes it
    python3 scripts/make_encodings_page.py --check    fails when it is not what the comments say

Each encoding's file opens with a comment: one line that says what it is, then formula, shapes, parameters, cost, property,
extrapolation and source. The order is that of model/position/registry.cpp.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
HEAD = """# Position encodings

One file each in [model/position/](../model/position/), one line in a configuration: `model.position: NAME`, or a mapping with `encoding: NAME` and
its options, or a list of those. [Architecture](architecture.md) says where an encoding can act. This page is made from the comments on top of the
files by `scripts/make_encodings_page.py`.

"""


def top_comment(path):
    """The first lines of a file that begin with //, without the slashes."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("//"):
            break
        lines.append(line[2:].removeprefix(" "))
    if len(lines) < 3 or ":" not in lines[0]:
        sys.exit(f"make_encodings_page.py: {path} does not open with 'name: what it is' and its description")
    return lines


def page():
    registry = (ROOT / "model/position/registry.cpp").read_text(encoding="utf-8")
    names = re.findall(r"^        (\w+)_encoding\(\),$", registry, re.MULTILINE)
    if not names:
        sys.exit("make_encodings_page.py: no encoding found in model/position/registry.cpp")
    sections = []
    for name in names:
        first, *rest = top_comment(ROOT / "model/position" / f"{name}.cpp")
        known, _, summary = first.partition(": ")
        if known != name:
            sys.exit(f"make_encodings_page.py: model/position/{name}.cpp opens with '{known}'")
        body = "\n".join(rest).strip("\n")
        sections.append(f"## {name}\n\n{summary[0].upper()}{summary[1:]} [Code](../model/position/{name}.cpp), "
                        f"[configuration](../configs/position/{name}.yaml).\n\n```text\n{body}\n```\n")
    contents = " · ".join(f"[{name}](#{name})" for name in names)
    return HEAD + contents + "\n\n" + "\n".join(sections)


def main(arguments):
    target = ROOT / "docs/encodings.md"
    if arguments == ["--check"]:
        if not target.exists() or target.read_text(encoding="utf-8") != page():
            sys.exit("docs/encodings.md is not what model/position/ says; run scripts/make_encodings_page.py")
    elif arguments:
        sys.exit(__doc__)
    else:
        target.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
