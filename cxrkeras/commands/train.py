"""`cxrkeras train`: the final model of a finished run, from all of its target data."""

from pathlib import Path

import click

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.operating_point import rule_of


@click.command(cls=Verb)
@click.option(
    "--run", required=True, type=click.Path(path_type=Path), help="A finished run of `cxrkeras cv`."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="New folder for the model."
)
@click.option(
    "--with-test", is_flag=True, help="Also learn from the run's held-out test set, if it has one."
)
@click.option(
    "--operating-point",
    "rules",
    multiple=True,
    metavar="RULE",
    help="Also keep this operating point, e.g. sensitivity=0.97. Repeatable. Always kept: "
    "youden, prevalence, corrected, and 0.8, 0.9, 0.95, 0.99 of sensitivity and specificity.",
)
def command(run: Path, out: Path, with_test: bool, rules: tuple[str, ...]) -> None:
    """Train one model on all folds' images, with the run's own settings.

    Sources aren't trained again. Operating points and calibration are the run's, fitted on its
    out-of-fold predictions. The model is scored on the run's held-out test set, if it has one;
    otherwise no images are left for that, and the run's own performance is reported. If stopped or
    killed, the same command resumes after the last epoch.

    \b
    Examples:
      cxrkeras train --run runs/first --out models/final
      cxrkeras train --run runs/first --out models/final --operating-point sensitivity=0.97
    """
    parsed = [rule_of(rule) for rule in rules]
    from cxrkeras.evaluation.evidence.performance import in_words
    from cxrkeras.training.final import train_final

    card = train_final(run, out, with_test=with_test, rules=parsed)
    click.echo(f"Model: {out}, from {card['images']:,} images")
    click.echo(in_words(card["performance"]))
    click.echo(f"Next: cxrkeras predict {out} FILES...")
