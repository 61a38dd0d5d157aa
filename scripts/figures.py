#!/usr/bin/env python3
"""The measured figures: one file a bench in docs/figures, from which the tables of docs/benchmarks.md are made.

Usage: make -s bench-X | scripts/figures.py record X [--note TEXT]     replaces docs/figures/X.jsonl
       scripts/figures.py tables                                       writes the tables of docs/benchmarks.md
       scripts/figures.py check                                        fails if they are not those of the files
A file begins with an object of facts (command, cpu, date, note); a line of a bench follows in each line: case, ours, peer,
unit, ratio (above 1: ours is better), and what else it prints. A table stands between `<!-- figures X -->` and `<!-- end -->`.
"""

import argparse
import datetime
import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIGURES, PAGE = ROOT / "docs/figures", ROOT / "docs/benchmarks.md"
TABLE = re.compile(r"(<!-- figures (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def cpu():
    """Name and cores of this machine, with the widest vectors it has."""
    text = Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    name = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    vectors = next((simd for flag, simd in (("avx512f", ", AVX-512"), ("avx2", ", AVX2")) if flag in text), "")
    vectors += " and AMX" if "amx_bf16" in text else ""
    return f"{name.group(1).strip() if name else 'unknown'}, {len(os.sched_getaffinity(0))} cores{vectors}"


def record(name, note):
    lines = [json.loads(line) for line in sys.stdin if line.startswith("{")]
    if not lines:
        sys.exit(f"{name}: no line of JSON on standard input")
    facts = {"command": f"make bench-{name}", "cpu": cpu(), "date": str(datetime.date.today())}
    facts |= {"note": note} if note else {}
    (FIGURES / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [facts, *lines]))


def shown(value):
    """A number as it is read: thousands by commas, short ones as they are."""
    if not isinstance(value, (int, float)):
        return "" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def table(name):
    """The rows of a file, with its facts above them."""
    facts, *lines = map(json.loads, (FIGURES / f"{name}.jsonl").read_text().splitlines())
    text = f"`{facts['command']}`, {facts['cpu']}, {facts['date']}"
    text += f"; {facts['note']}.\n\n" if facts.get("note") else ".\n\n"
    text += "| case | ours | peer | unit | ratio |\n|---|---|---|---|---|\n"
    for line in lines:
        peer = " ".join(filter(None, (shown(line["peer"]), f"({line['peer_name']})" if "peer_name" in line else "")))
        text += f"| {line['case']} | {shown(line['ours'])} | {peer} | {line['unit']} | {shown(line['ratio'])} |\n"
    return text + parts(lines)


def parts(lines):
    """The table of what cases are made of, where a bench splits them: objects `ours_ms` and `peer_ms`."""
    split = [(f"{line['case']}, {side}", line[f"{side}_ms"]) for line in lines for side in ("ours", "peer") if f"{side}_ms" in line]
    if not split:
        return ""
    names = list(split[0][1])
    text = "\n| ms | " + " | ".join(names) + " |\n|---" + "|---" * len(names) + "|\n"
    return text + "".join(f"| {case} | " + " | ".join(shown(ms[name]) for name in names) + " |\n" for case, ms in split)


def page():
    """The page with all its tables made anew."""
    return TABLE.sub(lambda found: f"{found[1]}{table(found[2])}{found[3]}", PAGE.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record")
    recording.add_argument("name")
    recording.add_argument("--note")
    verbs.add_parser("tables")
    verbs.add_parser("check")
    args = parser.parse_args()
    if args.verb == "record":
        record(args.name, args.note)
    elif args.verb == "tables":
        PAGE.write_text(page())
    else:
        text = PAGE.read_text()
        named, files = {found[1] for found in TABLE.findall(text)}, {path.stem for path in FIGURES.glob("*.jsonl")}
        if named != files:
            sys.exit(f"docs/benchmarks.md shows {sorted(named)}, docs/figures holds {sorted(files)}")
        if text != page():
            sys.exit("docs/benchmarks.md is not what docs/figures says: make figures")


if __name__ == "__main__":
    main()
