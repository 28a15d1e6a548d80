"""`cxrkeras pretrain`: a trunk trained on archives, to start from later."""

import json
from pathlib import Path
from typing import Any

import click

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.options import chosen, experiment_options
from cxrkeras.commands.shared.printing.results import result

_FIELDS = (
    "data", "method", "backbone", "source", "label_set", "joint", "loss", "uncertain", "blank",
    "blank_weight", "epochs", "source_epochs", "batch_size", "source_learning_rate", "dropout",
    "optimizer", "plateau_patience", "step_epochs", "plateau_factor", "early_stopping",
    "batch_norm", "augment", "image_size", "views", "pixel_cache", "validation_fraction", "seed",
    "precision", "fast", "devices", "log",
)  # fmt: skip

_MAIN = (
    "source",
    "backbone",
    "method",
    "label-set",
    "source-epochs",
    "batch-size",
    "image-size",
    "data",
    "config",
    "out",
)


@click.command(cls=Verb, shown=_MAIN)
@experiment_options(*_FIELDS)
@click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file with these options as keys."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the trunk.")
def command(config: Path | None, out: Path, **options: Any) -> None:
    """Train a trunk on archives: the source stages of `cxrkeras cv`, on their own.

    --out gets trunk.weights.h5, its history, and its scores on each archive's own test (or valid)
    part, which is never used for training. `cv` and `study` recognise the same stage by its
    description, or take the file: --source OUT/trunk.weights.h5. If killed, the same command
    resumes after the last finished epoch. With --data, images and patients of that target are left
    out, as in `cv`.

    \b
    Examples:
      cxrkeras pretrain --source imagenet,nih=data/nih --image-size 224 --out trunks/nih
      cxrkeras pretrain --source imagenet,chex=data/chexpert,nih=data/nih --out trunks/chain
      cxrkeras pretrain --source chex=data/chexpert --label-set chex=chexpert5 \\
          --uncertain ones,Consolidation=zeros --out trunks/chexpert
      cxrkeras pretrain --method cotrain --source nih=data/nih --source chex=data/chexpert \\
          --backbone resnet50 --out trunks/both
    """
    from cxrkeras.runs.description import make_experiment, read_choices
    from cxrkeras.training.pretrain import pretrain

    choices = {**(read_choices(config) if config else {}), **chosen(options)}
    for folder in pretrain(make_experiment(choices), out):
        _close(folder)


def _close(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    for name, scores in metrics.items():
        auroc, labels = scores["macro"]["pooled"]["auroc"], scores["macro"]["pooled"]["labels"]
        said = "none" if auroc is None else f"{auroc:.3f}"
        click.echo(
            f"{name}: macro AUROC {said} over {labels['auroc']} labels on the {scores['images']:,} "
            f"images of its {scores['split']} part"
        )
    click.echo(f"Trunk: {result(folder / 'trunk.weights.h5')}")
    click.echo(f"\nNext: cxrkeras cv --data data/ours --source {folder / 'trunk.weights.h5'}")
