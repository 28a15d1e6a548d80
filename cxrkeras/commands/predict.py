"""`cxrkeras predict`: what a model, or the ensemble of a run's folds, says of image files."""

from pathlib import Path

import click
from click.core import ParameterSource

from cxrkeras.commands.shared.cautions import cautions
from cxrkeras.commands.shared.executing import executing
from cxrkeras.commands.shared.film_options import admission, decoding_workers, table_of_inputs
from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.operating_point import operating_point, rule_of, rules_named
from cxrkeras.commands.shared.overwriting import overwrite as overwriting
from cxrkeras.commands.shared.printing.results import result
from cxrkeras.commands.shared.printing.tables import width_of_output
from cxrkeras.commands.shared.reporting import Reports, reporting
from data_prep.errors import UserError
from data_prep.outputs import check_file

_WRITERS = {".csv": "as_csv", ".json": "as_json", ".xlsx": "as_workbook"}

_MAIN = ("out", "operating-point", "calibrate", "table", "json", "server", "overwrite", "workers")


@click.command(cls=Verb, shown=_MAIN)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL_OR_RUN")
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@operating_point(f"Threshold above which a label is positive: {rules_named()}")
@click.option(
    "--calibrate",
    type=click.Choice(["none", "temperature", "isotonic"]),
    default="none",
    show_default=True,
    help="Also give calibrated probabilities, fitted on the run's out-of-fold predictions.",
)
@table_of_inputs
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Write FILE.csv, FILE.xlsx or FILE.json. Repeatable.",
)
@overwriting
@reporting
@click.option(
    "--server",
    help="Ask a server instead: http://HOST:8501 or grpc://HOST:8500. MODEL_OR_RUN is then the "
    "model's name on it.",
)
@cautions
@click.option("--json", "to_stdout", is_flag=True, help="Print JSON instead of tables.")
@admission
@click.option(
    "--batch-size", type=click.IntRange(1), default=16, show_default=True, help="Images per batch."
)
@decoding_workers
@executing("parts of the files are worked on, if there is more than a batch")
def command(
    model: Path,
    files: tuple[str, ...],
    rule: str | None,
    calibrate: str,
    table: Path | None,
    out: tuple[Path, ...],
    overwrite: bool,
    server: str | None,
    to_stdout: bool,
    batch_size: int,
    workers: int | None,
    admission,
    executor,
    limit: float,
    abstain: float | None,
    reports: Reports,
) -> None:
    """Give probabilities and decisions for FILES: DICOM, PNG, JPEG or TIFF, folders, patterns.

    MODEL_OR_RUN is a model folder (model.keras with model.json) or a run of `cxrkeras cv`,
    whose folds act as an ensemble: the mean of their probabilities. Each image is prepared as
    the model's training images were. What a model takes beside the image (age, sex, view) is
    read from DICOM headers or --table; a warning counts the films where it isn't known. So is
    the study, by a model that answers for its films together. Files that can't be read are
    listed with the reason, and the rest are processed. Not for clinical use.

    \b
    Examples:
      cxrkeras predict runs/first film.dcm
      cxrkeras predict runs/first films/ 'more/**/*.png' --out predictions.csv
      cxrkeras predict models/final films/ --operating-point sensitivity=0.95 --out all.json
      cxrkeras predict runs/first film.png --calibrate temperature --json
      cxrkeras predict models/final films/ --table patients.csv --out predictions.csv
      cxrkeras predict runs/first films/ --abstain 0.1 --out predictions.csv
      cxrkeras predict chest film.dcm --server http://localhost:8501
      cxrkeras predict models/final films/ --dicom reports --fhir observations.json
      cxrkeras predict models/final /shared/films --out all.csv --executor ray --gpus-per-task 1
    """
    _check(out, overwrite)
    reports.check(overwrite)
    chosen = rule_of(rule)
    settings = {"batch_size": batch_size, "admission": admission, "workers": workers}
    if server is not None:
        _refuse_with_server(executor)
        told = _ask(server, str(model), files, table, settings)
    else:
        from cxrkeras.serving.predict.run import predict_words
        from cxrkeras.serving.predictor.read import read_card

        method = None if calibrate == "none" else calibrate
        card = read_card(model)
        point = chosen or card.default_rule
        told = predict_words(
            card,
            files,
            point,
            calibration=method,
            table=table,
            executor=executor,
            limit=limit,
            abstain=abstain,
            **settings,
        )
    _tell(told, out, reports, to_stdout)


def _ask(server: str, name: str, files: tuple[str, ...], table: Path | None, settings: dict):
    from cxrkeras.serving.predict.films import find_films
    from cxrkeras.serving.predict.run import rows_of

    found, refused = find_films(files)
    from cxrkeras.serving.server.remote import ask

    return ask(server, name, found, rows_of(refused), table=table, **settings)


def _refuse_with_server(executor) -> None:
    """A served model has the operating points that it was exported with, and no calibration."""
    context = click.get_current_context()
    given = {
        "rule": "--operating-point is chosen when a model is exported",
        "calibrate": "--calibrate: a server gives the model's own probabilities",
        "limit": "--flag-unlike: a server doesn't say which films its model knows",
        "abstain": "--abstain is fitted on a run's out-of-fold predictions",
    }
    for name, why in given.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{why}; leave it out with --server.")
    if executor.spreads:
        raise click.UsageError("--executor: a server does the work; leave it out with --server.")


def _check(out: tuple[Path, ...], overwrite: bool) -> None:
    from cxrkeras.serving.predict.answers import is_answer

    for path in out:
        if path.suffix.lower() not in _WRITERS:
            raise click.UsageError(
                f"--out must be FILE.csv, FILE.xlsx or FILE.json. Received: {path}."
            )
    for path in out:
        check_file(path, "predict", is_answer, overwrite=overwrite)


def _tell(told, out, reports, to_stdout) -> None:
    from cxrkeras.serving.predict import answers
    from cxrkeras.serving.predict.films import none_readable
    from cxrkeras.serving.predict.shown.lines import as_lines
    from data_prep.files import atomic_write_bytes, atomic_write_text

    out = out if told.readable else ()
    for path in out:
        content = getattr(answers, _WRITERS[path.suffix.lower()])(told)
        try:
            (atomic_write_text if isinstance(content, str) else atomic_write_bytes)(path, content)
        except OSError as error:
            raise UserError(f"--out {path} can't be written: {error.strerror}.") from error
    if to_stdout:
        click.echo(answers.as_json(told), nl=False)
    else:
        for line in as_lines(told, width_of_output()):
            click.echo(line)
        for path in out:
            click.echo(f"Written: {result(path)}")
        if out and told.distorted:
            click.echo("There, adjusted is the probability; prob and threshold are scores.")
    if not told.readable:
        raise none_readable(len(told.rows), told.rows[0].reason)
    for place in (reports.dicom, reports.fhir):
        if place is not None and not to_stdout:
            result(place)
    for line in reports.write(told):
        click.echo(line, err=to_stdout)
