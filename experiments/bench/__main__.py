"""Measure: `python -m experiments.bench [NAME…]`; see `experiments/bench/__init__.py`."""

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from data_prep.errors import UserError
from experiments.bench import MEASUREMENTS, Missing, Row, Stand
from experiments.bench.shared import page, peers
from experiments.bench.shared.stand import ROOT, environment


def main(words: list[str] | None = None) -> int:
    """Measure what was asked for and write the page; 1 where something could not be measured."""
    options = _options(words)
    if options.rows:
        return _alone(options)
    missed, sections = [], {}
    for name in options.names or MEASUREMENTS.names():
        part = MEASUREMENTS.load(name)
        if options.device not in part.devices:
            if options.names:
                print(f"{name}: left out, it isn't measured on a {options.device}", file=sys.stderr)
            continue
        if options.small and part.peers and not peers.installed():
            print(f"{name}: left out, the peers aren't installed", file=sys.stderr)
            continue
        load = os.getloadavg()[0]
        rows = _in_process(name, options)
        if not rows:
            missed.append(name)
            continue
        command = " ".join(["python -m experiments.bench", name, *_given(options)])
        beside = peers.versions(peers.python()) if part.peers else ""
        foot = page.foot(command, options.device, load, beside)
        title, _, about = inspect.getdoc(sys.modules[part.__module__]).partition("\n\n")
        text = page.section(title.rstrip("."), about, rows, foot)
        print(text, flush=True)
        sections[f"{MEASUREMENTS.name_of(name)} {options.device}"] = text
        if options.out:
            page.put(options.out, sections)
    if missed:
        print(f"Not measured: {', '.join(missed)}", file=sys.stderr)
    return bool(missed)


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench", description="Measure, and write docs/performance.md."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="all by default; NAME:key=value")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--repeats", type=int, help="5 by default; 1 with --small")
    parser.add_argument("--small", action="store_true", help="the smoke size, into no page")
    parser.add_argument("--out", type=Path, help="the page; docs/performance.md by default")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)  # one part, in this process
    options = parser.parse_args(words)
    try:
        for name in options.names:
            MEASUREMENTS.make(name)
    except UserError as error:
        parser.error(str(error))
    options.repeats = options.repeats or (1 if options.small else Stand.repeats)
    if not options.small:
        options.out = options.out or ROOT / "docs" / "performance.md"
    return options


def _given(options: argparse.Namespace) -> list[str]:
    """The options that a measurement's process, and whoever repeats it, must give too."""
    given = ["--device", options.device] if options.device != "cpu" else []
    given += ["--small"] if options.small else []
    usual = 1 if options.small else Stand.repeats
    return given + (["--repeats", str(options.repeats)] if options.repeats != usual else [])


def _in_process(name: str, options: argparse.Namespace) -> list[Row]:
    """The rows of one measurement, made in a process of its own; none where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder, "rows.jsonl")
        command = [sys.executable, "-m", "experiments.bench", name, *_given(options)]
        done = subprocess.run(
            [*command, "--rows", rows], cwd=ROOT, env=environment(options.device), check=False
        )
        lines = rows.read_text(encoding="utf-8").splitlines() if rows.exists() else []
        return [Row(**json.loads(line)) for line in lines] if not done.returncode else []


def _alone(options: argparse.Namespace) -> int:
    (name,) = options.names
    part = MEASUREMENTS.make(name)
    if options.small:
        part = MEASUREMENTS.of(type(part), {**part.small, **part.changed()})
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        stand = Stand(
            Path(scratch),
            options.repeats,
            options.device,
            options.small,
            peers.python() if part.peers else None,
        )
        try:
            with options.rows.open("w", encoding="utf-8") as file:
                for row in part.measure(stand):
                    if options.small:
                        row = replace(row, at_least=None, at_most=None)
                    print(json.dumps(asdict(row)), file=file, flush=True)
                    print(*row.cells(), sep="  ", file=sys.stderr, flush=True)
        except Missing as missing:
            print(f"{name}: {missing}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
