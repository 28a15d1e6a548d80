"""`cxrkeras ensemble`: several runs and models to one, which answers as their mean."""

from pathlib import Path

import click

from cxrkeras.commands.shared.helping import Verb

_METRICS = {"auroc": "AUROC", "average_precision": "average precision"}


@click.command(cls=Verb)
@click.argument(
    "models", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL_OR_RUN..."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Model folder to create; it holds all members.",
)
@click.option(
    "--combine",
    type=click.Choice(["mean", "logits", "ranks"]),
    default="mean",
    show_default=True,
    help="Take the mean of the probabilities, of their log odds, or of each member's ranks among "
    "its own out-of-fold scores; ranks give no probability.",
)
@click.option(
    "--weights", metavar="W,W,…", help="Weights of the members, in order. [default: equal]"
)
@click.option(
    "--select",
    type=click.Choice(["greedy"]),
    help="Choose members, and how often each counts, on their out-of-fold predictions: one after "
    "another, with replacement, whichever helps most.",
)
@click.option(
    "--metric",
    type=click.Choice(list(_METRICS)),
    default="auroc",
    show_default=True,
    help="With --select: the macro score that is to rise.",
)
def command(
    models: tuple[Path, ...],
    out: Path,
    combine: str,
    weights: str | None,
    select: str | None,
    metric: str,
) -> None:
    """Make one model of several: runs, model folders or ensembles, of any backbone and image size.

    They must have the same labels (in any order), and their films must be prepared alike except for
    --image-size. If all are runs on the same images and folds, their out-of-fold predictions are
    combined too: operating points, calibration and performance come from these, and
    DIR/predictions.csv has them. Otherwise the ensemble's performance is unknown. `predict`,
    `explain`, `export` and `app` take DIR like any model. With --select the performance is that of
    members chosen for each fold on the other folds. Not for clinical use.

    \b
    Examples:
      cxrkeras ensemble runs/densenet runs/xception --out models/both
      cxrkeras ensemble runs/a runs/b models/c --combine logits --weights 2,1,1 --out models/abc
      cxrkeras ensemble runs/* --select greedy --combine ranks --out models/best
    """
    from cxrkeras.evaluation.evidence.performance import in_words
    from cxrkeras.serving.predictor.make import make_ensemble

    card = make_ensemble(models, out, combine, _numbers(weights), select and metric)
    click.echo(f"Written: {out}, {card.count} models")
    if chosen := card.facts.get("selection"):
        click.echo(_choice(chosen))
    if found := card.facts.get("performance"):
        click.echo(in_words(found))
    for doubt in card.doubts():
        click.echo(f"Before you believe it: {doubt}")
    click.echo(f"Next: cxrkeras predict {out} FILES")


def _choice(chosen: dict) -> str:
    pairs = zip(chosen["candidates"], chosen["counts"], strict=True)
    taken = ", ".join(f"{name} x {count}" for name, count in pairs if count)
    if chosen["nested"] is None:
        return f"Chosen: {taken}"
    return (
        f"Chosen: {taken}. Mean macro {_METRICS[chosen['metric']]} within folds "
        f"{chosen['nested']:.3f} if chosen on the others, {chosen['apparent']:.3f} if chosen on "
        f"all: optimism {chosen['optimism']:+.3f}"
    )


def _numbers(text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(word) for word in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--weights are numbers with commas. Received: {text}.") from None
