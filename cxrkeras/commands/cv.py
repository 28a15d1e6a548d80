"""`cxrkeras cv`: one way of transferring, cross-validated."""

from pathlib import Path
from typing import Any

import click

from cxrkeras.commands.shared.executing import executing
from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.options import chosen, experiment_options
from cxrkeras.runs.presets import everyday_names

_MAIN = (
    "preset",
    "data",
    "method",
    "backbone",
    "source",
    "head",
    "recipe",
    "loss",
    "epochs",
    "image-size",
    "folds",
    "seeds",
    "config",
    "out",
)


@click.command(cls=Verb, shown=_MAIN)
@click.option(
    "--preset",
    type=click.Choice(everyday_names()),
    help="Settings by name: quick, to see that it works; cpu and gpu, for such a machine; study, "
    "those of Huang et al. 2022. All other options go over them, and it is said what they set.",
)
@experiment_options()
@click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file with these options as keys."
)
@click.option("--out", type=click.Path(path_type=Path), help="Run folder. [default: runs/NAME]")
@executing("folds are fitted")
def command(
    config: Path | None, out: Path | None, executor, preset: str | None, **options: Any
) -> None:
    """Cross-validate one way of transferring: models, predictions, metrics and a report.

    A run can be stopped or killed at any time; the same command resumes it. Source stages are
    trained once and reused by later runs.

    \b
    Examples:
      cxrkeras cv --preset quick                                 # the built-in phantoms
      cxrkeras cv --data data/ours --preset cpu
      cxrkeras cv --backbone densenet121 --method cotrain        # the phantoms' hospitals too
      cxrkeras cv --data data/ours --source imagenet
      cxrkeras cv --data data/ours --source imagenet,nih=data/nih --image-size 256
      cxrkeras cv --data data/ours --method mixed --source imagenet --source nih=data/nih
      cxrkeras cv --data data/ours --method cotrain --source nih=data/nih --source chex=data/chex
      cxrkeras cv --data data/ours --source trunk.keras --recipe frozen --shuffle-labels
      cxrkeras cv --data data/ours --source trunk.keras --recipe logistic --features 16,32
      cxrkeras cv --data data/ours --source imagenet --source-rows nih=data/nih:0.5
      cxrkeras cv --data data/ours --source imagenet --seeds 3       # trained three times over
      cxrkeras cv --data data/ours --recipe chexnet                  # a published system
      cxrkeras cv --data data/ours --recipe chexnet --source trunk.keras --epochs 3
      cxrkeras cv --data data/ours --source imagenet --executor processes=4 --gpus-per-task 1
      cxrkeras cv --data data/ours --source imagenet --executor ray --cpus-per-task 8
    """
    from cxrkeras.training.begin import run_choices

    run = run_choices(chosen(options), out, config, executor, preset)
    _close(run.metrics, run.folder, shuffled=run.experiment.shuffle_labels)


def _close(metrics: dict, run: Path, *, shuffled: bool) -> None:
    from cxrkeras.evaluation.evidence.trainings import in_words
    from cxrkeras.evaluation.report.narrative import over_all_labels, warnings

    macro = metrics["macro"]
    pooled, folds = macro["pooled"]["auroc"], macro["over_folds"]["auroc"]
    interval = macro["pooled"].get("auroc_interval")
    within = f" (95% {interval['low']:.3f} to {interval['high']:.3f})" if interval else ""
    click.echo(
        f"Macro AUROC: {_said(pooled)} pooled out-of-fold{within}, "
        f"{_said(folds['mean'])} ± {_said(folds['sd'])} over {folds['folds']} folds"
    )
    if whole := over_all_labels(metrics):
        click.echo(f"Macro AUROC {whole}")
    if spread := metrics.get("seeds"):
        click.echo(f"{in_words(spread)}; the run is their mean")
    for warning in warnings(metrics, shuffled=shuffled):
        click.echo(f"Before you believe a number: {warning}")
    click.echo(f"Report: {run / 'report.html'}")
    click.echo(f"Predictions: {run / 'predictions.csv'}")
    also = "" if "seeds" in metrics else f", or cxrkeras train --run {run} --out MODEL"
    click.echo(f"\nNext: cxrkeras predict {run} FILES{also}")


def _said(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"  # none: no label could be scored
