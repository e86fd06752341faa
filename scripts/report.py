#!/usr/bin/env python3
"""Turns the tables that `locus compare` wrote into a report: curves, tables, and a verdict for each claim of the notes.

    scripts/report.py runs/notes                        writes runs/notes/report: report.md, report.html, pictures, CSV
    scripts/report.py runs/notes --notes docs/notes     and a page for each note of docs/notes/claims, in two languages
    scripts/report.py runs/notes-pilot --plan           the seeds that each criterion needs, by the spread of a pilot
    scripts/report.py runs/notes --tables results       writes only the tables, to seven digits, and the loss curves:
                                                        what is worth keeping of a comparison when its runs are gone,
    scripts/report.py results --output results          and this makes the report of it
    scripts/report.py runs/notes --check                writes nothing; exit code 1 when the report is another

report.html is one file with everything in it; it opens without a network. --check compares pages and CSV files to the
byte and asks only that the pictures are there, since their bytes depend on the versions of matplotlib and of the fonts.
report.html may be left out: it has nothing that the rest does not have.
Needs matplotlib, pandas, SciPy and PyYAML; no display.
"""

import argparse
import os
import pathlib
import re
import sys

try:
    import matplotlib.pyplot
    import pandas
    import scipy.stats
    import yaml
except ImportError as error:
    system = "/usr/bin/python3"  # the distribution's packages belong to it; another python3 may come first in the path
    another = os.path.realpath(sys.executable) != os.path.realpath(system)
    if __name__ == "__main__" and os.path.exists(system) and another:
        os.execv(system, [system, *sys.argv])
    packages = "python3-matplotlib python3-pandas python3-scipy python3-yaml"
    sys.exit(f"report.py: {error.name} is missing (apt-get install {packages})")

from reporting import claims, figures, measured, notes, page, quantities, sections, verdicts, wording

CLAIMS = pathlib.Path(__file__).resolve().parents[1] / "configs" / "compare" / "claims.yaml"
PICTURE = re.compile(r"<svg\b.*?</svg>", re.DOTALL)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, metavar="FOLDER", help="what locus compare wrote")
    parser.add_argument("--claims", type=pathlib.Path, default=CLAIMS, metavar="FILE",
                        help="criteria (default: configs/compare/claims.yaml)")
    parser.add_argument("--output", type=pathlib.Path, metavar="FOLDER", help="default: FOLDER/report")
    parser.add_argument("--notes", type=pathlib.Path, metavar="DIR",
                        help="also makes DIR/en/NNN.md and DIR/zh/NNN.md from DIR/claims/NNN.yaml")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--plan", action="store_true", help="prints how many seeds each criterion needs")
    mode.add_argument("--tables", type=pathlib.Path, metavar="DIR", help="writes the tables there, to seven digits")
    mode.add_argument("--check", action="store_true", help="exit code 1 when the report is not what the tables give")
    options = parser.parse_args(arguments)
    if (options.plan or options.tables) and (options.notes or options.output):
        parser.error("--plan and --tables make no report; --notes and --output do not go with them")
    options.output = options.output or options.folder / "report"
    return options


def print_plan(claims_path, tables):
    plans = verdicts.plan_seeds(claims.read_claims(claims_path), tables)
    rows = [["claim", "criterion", "pilot seeds", "mean", "sd", "effect", "seeds needed", "note"]]
    rows += [[plan.id, plan.name, str(plan.seeds), *map(wording.number, (plan.mean, plan.sd, plan.effect)),
              wording.NONE if plan.needed is None else str(plan.needed), plan.note] for plan in plans]
    print(page.markdown_table(page.Table(rows[0], rows[1:], "llrrrrrl")))


def copy_tables(options, tables):
    comparison = measured.read(tables, claims.read_claims(options.claims), [options.folder])
    frames = {name: tables.table(name) for name in quantities.TABLES if tables.has(name)}
    frames |= {"curves": comparison.curves} if comparison.curves is not None else {}
    for name, frame in frames.items():
        put(options.tables / f"{name}.csv", frame.to_csv(index=False, float_format="%.7g", lineterminator="\n").encode())
    commit = options.folder / "commit.txt"
    if commit.exists():
        put(options.tables / "commit.txt", commit.read_bytes())


def build(options, tables):
    """Everything to write: {path: text}, and the pictures as figure blocks."""
    file = claims.read_claims(options.claims)
    comparison = measured.read(tables, file, [options.folder, options.output])
    about_others = not set(file.blocks) & set(comparison.runs["block"])
    results = [] if about_others and not options.notes else verdicts.judge(options.claims, tables)
    texts, numbered, links = {}, {}, {}
    if options.notes:
        by_id = {result.id: result for result in results}
        found = notes.read_notes(options.notes, results)
        texts = notes.pages(options.notes, found, by_id, options.output / "report.md")
        numbered, links = notes.verdicts_of(found, by_id), notes.page_links(options.notes, found, options.output)
    criteria = (options.claims.name, verdicts.file_hash(options.claims))
    blocks, files = sections.report(comparison, results, criteria, numbered, links)
    title = f"Position encodings compared: {options.folder.resolve().name}"
    texts |= {options.output / name: text for name, text in files.items()}
    texts[options.output / "report.md"] = page.markdown(title, blocks)
    return title, blocks, texts


def write(options, title, blocks, texts):
    svgs = {}
    for block in blocks:
        if isinstance(block, page.Figure):
            png, svgs[block.name] = figures.render(block.draw())
            put(options.output / f"{block.name}.png", png)
    for path, text in texts.items():
        put(path, text.encode("utf-8"))
    put(options.output / "report.html", page.html(title, blocks, svgs).encode("utf-8"))


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def differences(options, title, blocks, texts):
    """What is not as it would be written, a line each."""
    pictures = [block.name for block in blocks if isinstance(block, page.Figure)]
    lines = [f"{path}: differs" if path.exists() else f"{path}: is missing" for path, text in texts.items()
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    paths = [options.output / f"{name}.png" for name in pictures]
    lines += [f"{path}: is missing" for path in paths if not path.exists()]
    html, there = page.html(title, blocks, dict.fromkeys(pictures, "<svg></svg>")), options.output / "report.html"
    if there.exists() and PICTURE.sub("", there.read_text(encoding="utf-8")) != PICTURE.sub("", html):
        lines.append(f"{there}: differs")
    return lines


def run(options):
    tables = quantities.read_tables(options.folder)
    if options.plan:
        print_plan(options.claims, tables)
        return 0
    if options.tables:
        copy_tables(options, tables)
        return 0
    title, blocks, texts = build(options, tables)
    if not options.check:
        write(options, title, blocks, texts)
        print(options.output / "report.html")
        return 0
    lines = differences(options, title, blocks, texts)
    print("\n".join(lines), end="\n" if lines else "", file=sys.stderr)
    return 1 if lines else 0


def main(arguments=None):
    options = parse_arguments(arguments)
    try:
        return run(options)
    except (ValueError, OSError) as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
