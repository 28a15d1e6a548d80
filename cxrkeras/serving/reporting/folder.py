"""A folder of structured reports, one for each DICOM film of an answer."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cxrkeras.serving.predict.film_names import unique_names
from cxrkeras.serving.predict.predict import Answer
from cxrkeras.serving.reporting.said import algorithm_of, remarks_of, said_of
from cxrkeras.serving.reporting.source import read_source
from cxrkeras.serving.reporting.structured import structured_report
from cxrkeras.serving.reporting.written import write
from data_prep.errors import RejectedFile, UserError
from data_prep.filenames import printable
from data_prep.files import atomic_write_text
from data_prep.outputs import remove
from data_prep.progress import Steps
from data_prep.tables.cells import rows_as_csv
from data_prep.tables.table import read_table

LIST = "reports.csv"
_HEADER = ("file", "report", "reason")
_FEW = 16  # films without a line of progress


def is_report_folder(out: Path) -> bool:
    """Whether `write_reports` has written into a folder."""
    return (out / LIST).is_file()


def write_reports(answer: Answer, out: Path, key_file: Path | None = None) -> Iterator[str]:
    """Write `NAME.dcm` for each film that is DICOM, and `reports.csv`, which says which is which.

    Args:
        answer: on the films.
        out: the folder, checked; reports of an earlier call go.
        key_file: of the secret key by which they are named, as `cxrkeras prep` names images.

    Yields:
        Lines for the terminal.

    Raises:
        UserError: the folder can't be written.
    """
    films = [answer.rows[number] for number in answer.readable]
    names = unique_names([film.path for film in films], key_file)
    try:
        remove(_written(out))
        rows = list(_write(answer, out, names))
        atomic_write_text(out / LIST, rows_as_csv(_HEADER, rows))
    except OSError as error:
        raise UserError(f"--dicom {out} can't be written: {error.strerror}.") from error
    yield from _lines(out, rows)


def _write(answer: Answer, out: Path, names: list[str]) -> Iterator[tuple[str, str, str]]:
    """A row of the list for each film."""
    algorithm = algorithm_of(answer.card, answer.rule, answer.calibration)
    with Steps("reported", len(names), shown=len(names) > _FEW) as steps:
        for count, (number, name) in enumerate(zip(answer.readable, names, strict=True), start=1):
            film, report = answer.rows[number], f"{name}.dcm"
            remarks = (*remarks_of(answer, number), *answer.doubts)
            try:
                content = read_source(film.path), said_of(answer, number), algorithm, remarks, count
                write(out / report, partial(structured_report, *content))
                yield printable(film.path), report, ""
            except RejectedFile as refusal:
                yield printable(film.path), "", str(refusal)
            steps.step()


def _lines(out: Path, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    refused = [(file, reason) for file, _, reason in rows if reason]
    if refused:
        file, reason = refused[0]
        more = f", and {len(refused) - 1:,} more: {out / LIST}" if len(refused) > 1 else ""
        yield f"No structured report of {file}: {reason}{more}"
    count = len(rows) - len(refused)
    yield f"Written: {out} ({count:,} structured reports, with names of patients)"


def _written(out: Path) -> Iterator[Path]:
    """What an earlier call wrote, by its own account."""
    if is_report_folder(out):
        for name in read_table(out / LIST).get("report", ()):
            if name:
                yield out / Path(name).name  # nothing outside this folder
        yield out / LIST
