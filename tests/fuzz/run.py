"""The fuzzer as a command: `python -m tests.fuzz.run --films 10000 --tables 2000 --models 200`.

It prints what became of the mutants and exits with 1 where one crashed, hung, took over 2 GB, gave
numbers that aren't finite, or failed in a way that nobody foresaw. `--again films:1234 --keep DIR`
makes a single one again, and leaves its file there.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.crew import BAD, Outcome, tally

SORTS = ("films", "tables", "models")


def main() -> None:
    """Read the command line, run, print."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for sort in SORTS:
        reader.add_argument(f"--{sort}", type=int, default=0, help=f"How many mutants of {sort}.")
    reader.add_argument("--seed", type=int, default=0)
    reader.add_argument("--workers", type=int, default=2)
    reader.add_argument("--again", help="One mutant alone, e.g. films:1234.")
    reader.add_argument("--keep", type=Path, help="Folder to work in, which stays.")
    reader.add_argument("--refusals", action="store_true", help="Count the reasons, too.")
    given = reader.parse_args()
    numbers = {sort: range(getattr(given, sort)) for sort in SORTS}
    if given.again:
        sort, _, number = given.again.partition(":")
        numbers = {sort: range(int(number), int(number) + 1)}
    with tempfile.TemporaryDirectory() as scratch:
        folder, bad = given.keep or Path(scratch), 0
        for sort, wanted in numbers.items():
            if wanted:
                workers = min(given.workers, len(wanted))
                place = folder.resolve() / sort
                found = tally(sort, wanted, given.seed, place, workers, _Shown(sort, len(wanted)))
                print(*found.lines(), sep="\n", flush=True)
                if given.refusals:
                    for reason, count in found.refusals.most_common(60):
                        print(f"    {count:6,} {reason[:150]}")
                bad += sum(found.counts[kind] for kind in BAD)
    sys.exit(1 if bad else 0)


class _Shown:
    """Says at once what went wrong, and how far it is."""

    def __init__(self, sort: str, count: int):
        self._sort, self._count, self._done = sort, count, 0

    def __call__(self, outcome: Outcome) -> None:
        self._done += 1
        if outcome.kind in BAD:
            what = f"{self._sort}:{outcome.number} ({outcome.mutation}): {outcome.detail}"
            print(f"{outcome.kind} {what}", file=sys.stderr, flush=True)
        if self._done % 500 == 0:
            print(f"{self._done:,} of {self._count:,}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
