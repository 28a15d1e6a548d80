"""Where the heads' own maps point on phantoms, beside Grad-CAM of the same models and chance.

Run: python -m experiments.pointing WORK --trunk WEIGHTS [--backbone xception] [--heads "gap;lse;…"]
[--patients 120] [--side 256] [--folds 5] [--epochs 15] [--learning-rate 1e-3] [--recipe frozen],
WORK a folder for phantoms, runs and maps; the same command goes on where it was stopped. Each head
is fitted on the same folds, and its maps are made out of fold. Prints a table: macro AUROC, and for
all boxed findings the share of maps whose highest point lies in a box (with its 95 % interval) and
the share of boxes found at T(IoBB) = 0.1, of the map that `explain` takes by default and of
Grad-CAM. How to get a trunk of Xception says `xception_nih_target.toml`; without --trunk it is
random, which can only be fitted with --recipe finetune.
"""

import argparse
from pathlib import Path

from cxrkeras import runtime
from cxrkeras.registry import HEADS
from cxrkeras.runs.description import make_experiment
from cxrkeras.serving.explain.inputs import data_inputs
from cxrkeras.serving.explain.run import explain_inputs
from cxrkeras.serving.predictor.read import read_card
from cxrkeras.training.crossval import cross_validate
from data_prep.files import read_json
from data_prep.phantom.builtin import builtin_datasets

ALL, AT = "all labels", "0.1"
COLUMNS = (
    "head",
    "macro AUROC",
    "its map",
    "points into a box",
    "boxes found",
    "Grad-CAM points into a box",
    "boxes found",
    "chance",
    "swapped",
)


def main(wish: argparse.Namespace) -> None:
    """Fit every head, explain, and print."""
    runtime.start()
    data = wish.work / "phantoms"
    builtin_datasets(data, patients=wish.patients, source_patients=1, size=wish.side)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for head in wish.heads.split(";"):
        cells = row(wish, data / "target", head)
        print(f"| {' | '.join(cells)} |", flush=True)


def row(wish: argparse.Namespace, data: Path, head: str) -> tuple[str, ...]:
    """One head's cells."""
    run = wish.work / "runs" / head.replace(":", "-").replace(",", "-").replace("=", "")
    settings = {
        "data": str(data),
        "backbone": wish.backbone,
        "head": head,
        "recipe": wish.recipe,
        "image_size": wish.side,
        "folds": wish.folds,
        "epochs": wish.epochs,
        "learning_rate": wish.learning_rate,
    }
    if wish.trunk:
        settings["source"] = str(wish.trunk)
    macro = cross_validate(make_experiment(settings), run)["macro"]["pooled"]["auroc"]
    told, own = explained(run, data, None)
    about, gradcam = explained(run, data, "gradcam")
    assert about["method"] == "gradcam"
    pointing = own["pointing"]
    return (
        str(HEADS.make(head)),
        f"{macro:.3f}",
        told["method"],
        *scores(own),
        *scores(gradcam),
        f"{pointing['chance']:.3f}",
        f"{pointing['swapped']:.3f}",
    )


def explained(run: Path, data: Path, method: str | None) -> tuple[dict, dict]:
    """What an explanation says of itself, and the scores of all boxed findings together."""
    out = run.parent.parent / "maps" / f"{run.name}-{method or 'default'}"
    card = read_card(run)
    inputs = data_inputs(card, data, None).only_boxed()
    explain_inputs(card, inputs, out, card.default_rule, method=method, pictures=False)
    return read_json(out / "explained.json"), read_json(out / "localisation.json")[ALL]


def scores(found: dict) -> tuple[str, str]:
    """Pointing with its interval, and boxes found."""
    pointing = found["pointing"]
    interval = f"{pointing['low']:.3f} to {pointing['high']:.3f}"
    boxes = found["boxes"]["accuracy"]["IoBB"][AT]
    return f"{pointing['share']:.3f} ({interval})", f"{boxes:.3f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--trunk", type=Path)
    parser.add_argument("--backbone", default="xception")
    parser.add_argument("--heads", default="gap;lse;pcam;fpn;psp", help="texts, with ; between")
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--recipe", default="frozen")
    main(parser.parse_args())
