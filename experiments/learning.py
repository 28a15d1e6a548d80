"""Ways of learning side by side on one target: every row of learning.toml against the first.

    python -m experiments.learning --work DIR --data TARGET --source SOURCE --trunk WEIGHTS

TARGET and SOURCE are prepared datasets, WEIGHTS the trunk; learning.toml says which. Each row is a
run of `cxrkeras cv` on the same folds, or an ensemble of runs; the same command goes on after a
stop. Writes learning.md: macro AUROC and average precision pooled out of fold with intervals, their
differences from the first row, patients resampled together, and p after Holm's correction over the
table. --only NAMES prints the chosen rows against the first and writes nothing.
"""

import argparse
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from cxrkeras.evaluation.compare.compare import compare_predictions
from cxrkeras.evaluation.evidence.shortcuts import shortcut_predictions
from cxrkeras.evaluation.scores.predictions import read_predictions
from data_prep.files import atomic_write_text

HERE = Path(__file__).parent
ROWS, RESULT = HERE / "learning.toml", HERE / "learning.md"
COLUMNS = ("row", "what", "AUROC", "minus plain", "p", "AP", "minus plain", "p")
SCORES = ("auroc", "average_precision")
INTRO = """# Ways of learning, on one target

Written by `python -m experiments.learning` (see [learning.toml](learning.toml)): {images} images of
{patients} patients, macro means over {labels} labels, pooled out of fold, 95 % intervals from
{resamples} resamples of patients. p is Holm-corrected over the {rows} comparisons of the table.

"""


def main(wish: argparse.Namespace) -> None:
    """Run what is missing, compare, and write."""
    told = tomllib.loads(ROWS.read_text("utf-8"))
    rows = told["row"]
    if wish.only:
        rows = [row for row in rows if row["name"] in {rows[0]["name"], *wish.only}]
    for row in rows:
        run_row(row, told["options"], wish)
    named = {row["name"]: read_predictions(place(wish, row) / "predictions.csv") for row in rows}
    first = rows[0]["name"]
    named |= shortcut_predictions(wish.work / first, wish.data)[0]
    found = compare_predictions(named, reference=first)
    text = table(found, {row["name"]: said(row) for row in rows})
    print(text)
    if not wish.only:
        intro = INTRO.format(
            **{key: found[key] for key in ("images", "patients", "resamples")},
            labels=len(found["labels"]),
            rows=len(found["differences"]),
        )
        atomic_write_text(RESULT, intro + text)


def place(wish: argparse.Namespace, row: dict) -> Path:
    """The folder of a row's predictions."""
    return wish.work / row["name"]


def said(row: dict) -> str:
    """What a row is, in words or options."""
    options = row.get("what") or (f"`{row['options']}`" if "options" in row else "all defaults")
    return f"{options} of {', '.join(row['members'])}" if "members" in row else options


def run_row(row: dict, common: str, wish: argparse.Namespace) -> None:
    """Cross-validate or combine one row, unless it is done."""
    out, options = place(wish, row), row.get("options", "")
    if "members" not in row:
        words = [
            "cv",
            "--data",
            str(wish.data),
            *shlex.split(common if row.get("common", True) else ""),
        ]
    elif not (out / "predictions.csv").exists():
        words = ["ensemble", *(str(wish.work / name) for name in row["members"])]
    else:
        return
    places = {"trunk": wish.trunk, "source": wish.source}
    words = [word.format(**places) for word in [*words, *shlex.split(options)]]
    command = Path(sys.executable).with_name("cxrkeras")
    subprocess.run([command, *words, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)


def table(found: dict, what: dict[str, str]) -> str:
    """The Markdown table."""
    differences = {part["run"]: part for part in found["differences"]}
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    for name, scores in found["runs"].items():
        cells = [name, what.get(name, "shortcut: no lungs needed")]
        for score in SCORES:
            cells.append(interval(scores[score]))
            below = differences.get(name)
            cells.append(interval(below[score], signed=True) if below else "")
            cells.append(f"{below[score]['p_holm']:.3f}" if below else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def interval(part: dict, *, signed: bool = False) -> str:
    """A value with its interval."""
    form = "+.3f" if signed else ".3f"
    return f"{part['value']:{form}} ({part['low']:{form}} to {part['high']:{form}})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("work", "data", "source", "trunk"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--only", nargs="*", metavar="NAME")
    main(parser.parse_args())
