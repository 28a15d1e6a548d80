"""`cxrkeras ensemble`: several runs and models to one, which answers as their mean."""

from pathlib import Path

import click


@click.command()
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
def command(models: tuple[Path, ...], out: Path, combine: str, weights: str | None) -> None:
    """Make one model of several: runs, model folders or ensembles, of any backbone and image size.

    They must have the same labels (in any order), and their films must be prepared alike except for
    --image-size. If all are runs on the same images and folds, their out-of-fold predictions are
    combined too: operating points, calibration and performance come from these, and
    DIR/predictions.csv has them. Otherwise the ensemble's performance is unknown. `predict`,
    `explain`, `export` and `app` take DIR like any model. Not for clinical use.

    \b
    Examples:
      cxrkeras ensemble runs/densenet runs/xception --out models/both
      cxrkeras ensemble runs/a runs/b models/c --combine logits --weights 2,1,1 --out models/abc
    """
    from cxrkeras.evaluation.evidence.performance import in_words
    from cxrkeras.serving.predictor.make import make_ensemble

    card = make_ensemble(models, out, combine, _numbers(weights))
    click.echo(f"Written: {out}, {card.count} models")
    if found := card.facts.get("performance"):
        click.echo(in_words(found))
    for doubt in card.doubts():
        click.echo(f"Before you believe it: {doubt}")
    click.echo(f"Next: cxrkeras predict {out} FILES")


def _numbers(text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(word) for word in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--weights are numbers with commas. Received: {text}.") from None
