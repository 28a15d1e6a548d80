"""Run the same commands with the code of an earlier commit and with this checkout's, and compare.

Run: python -m experiments.guard COMMIT [--only tiny,maps] [--trunk FILE.keras] [--work DIR]

What is compared are all files that the cases write (cases.py) but those that may differ by nature
(exclusions.py, each with its reason). DIR keeps everything: films that both sides learn from,
`reference-COMMIT/` and `tree-HASH/`, each with the code that was run, its cache, a folder for each
case and how it ended. A case that ended is never run again for the same code; one that failed or
was killed begins anew. `--build` makes the reference side only, and `--tree` compares another
checkout. The case `frozen` needs real films (CXRKERAS_REAL_DATA) and a file with an Xception trunk,
of which DIR keeps a copy.

The last lines say of each file whether it is equal; where it differs, the largest difference of a
number tells last bits from a change. They are kept in `tree-HASH/summary.txt`. Exit code 1 where
anything differs or failed.
"""

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath

from experiments.guard.cases import CASES, make_phantoms, run_case
from experiments.guard.differences import Verdict, verdicts
from experiments.guard.sides import CaseFailed, Side

ROOT = Path(__file__).resolve().parents[2]
WORDS = {"excused": "equal but for what may differ"}
MANY = 12  # equal files of a kind in one folder that are counted, not listed


def main() -> None:
    """Run both sides and compare them."""
    options = _options()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    _supply(work, options.trunk)
    before = Side.of_commit(options.commit, ROOT, work)
    before.check()
    try:
        make_phantoms(before)
    except CaseFailed as failure:
        sys.exit(str(failure))
    sides = [before]
    if not options.build:
        sides.append(Side.of_tree(options.tree.resolve(), work))
        sides[1].check()
    for case in options.only:
        for side in sides:
            print(run_case(side, case), flush=True)
    if options.build:
        sys.exit(any(not before.ended(case) for case in options.only))
    text, alike = _summary(*sides, options.only)
    (sides[1].folder / "summary.txt").write_text(text, encoding="utf-8")
    print(text, end="")
    sys.exit(0 if alike else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.guard", description=__doc__.splitlines()[0]
    )
    parser.add_argument("commit", help="whose results are the reference")
    parser.add_argument(
        "--only",
        type=_cases,
        default=list(CASES),
        metavar="CASES",
        help=f"some of {','.join(CASES)}; all by default",
    )
    parser.add_argument("--trunk", type=Path, help="a .keras file with an Xception trunk")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs" / "guard", help="the folder that keeps all"
    )
    parser.add_argument(
        "--tree", type=Path, default=ROOT, help="the checkout to compare; this one by default"
    )
    parser.add_argument("--build", action="store_true", help="make the reference side only")
    return parser.parse_args()


def _cases(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in CASES:
            raise argparse.ArgumentTypeError(f"there is no case {name!r}, only {', '.join(CASES)}")
    return names


def _supply(work: Path, trunk: Path | None) -> None:
    """The inputs of `frozen`, under names that both sides are given."""
    if trunk:
        shutil.copyfile(trunk, work / "trunk.keras")
    films = Path(os.environ.get("CXRKERAS_REAL_DATA", "")) / "nih_target"
    link = work / "nih_target"
    if not link.exists() and (films / "labels.csv").is_file():
        link.unlink(missing_ok=True)
        link.symlink_to(films.resolve())


def _summary(before: Side, after: Side, cases: list[str]) -> tuple[str, bool]:
    lines, alike = [f"{before.folder.name} (before) and {after.folder.name} (after)"], True
    for case in cases:
        absent = [side.folder.name for side in (before, after) if not side.ended(case)]
        if absent:
            lines += ["", f"{case}: not compared, it didn't end in {' and '.join(absent)}"]
            alike = False
            continue
        found = list(verdicts(before.folder / case, after.folder / case))
        alike &= all(verdict.alike for verdict in found)
        counts = Counter(WORDS.get(verdict.word, verdict.word) for verdict in found)
        lines += ["", f"{case}: {', '.join(f'{n} {word}' for word, n in sorted(counts.items()))}"]
        lines += _lines(found)
    lines += ["", "Nothing differs." if alike else "Something differs or is lacking, see above."]
    return "\n".join(lines) + "\n", alike


def _lines(found: list[Verdict]) -> Iterator[str]:
    kinds = Counter(_kind(verdict) for verdict in found if verdict.word == "equal")
    for (folder, suffix), number in kinds.items():
        if number >= MANY:
            yield f"  equal: {folder / f'*{suffix}'} ({number} files)"
    for verdict in found:
        many = verdict.word == "equal" and kinds[_kind(verdict)] >= MANY
        if not many and verdict.word != "excluded":
            said = f": {verdict.said}" if verdict.said else ""
            yield f"  {WORDS.get(verdict.word, verdict.word)}: {verdict.path}{said}"
    for why, number in Counter(v.said for v in found if v.word == "excluded").items():
        yield f"  excluded: {number} files: {why}"


def _kind(verdict: Verdict) -> tuple[PurePath, str]:
    return verdict.path.parent, verdict.path.suffix


if __name__ == "__main__":
    main()
