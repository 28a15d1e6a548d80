"""`--dicom`, `--fhir`, `--key-file`: what `predict` writes for a hospital's systems."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import click

from cxrkeras.commands.shared.key_file import key_file
from data_prep.errors import UserError
from data_prep.outputs import check_file, check_folder


@dataclass(frozen=True)
class Reports:
    """What was asked for.

    Args:
        dicom: the folder of structured reports, or None.
        fhir: the file of Observations, or None.
        key_file: of the secret key by which both name films and patients.
    """

    dicom: Path | None
    fhir: Path | None
    key_file: Path | None

    def check(self, overwrite: bool) -> None:
        """Check, before the work, that all can be written.

        Raises:
            UserError: a place is taken, or a package is missing.
        """
        from cxrkeras.serving.reporting import fhir, folder, written
        from cxrkeras.serving.reporting.said import need

        if self.dicom:
            need(*written.EXTRA, "--dicom")
            ours, how = folder.is_report_folder, {"overwrite": overwrite, "option": "--dicom"}
            check_folder(self.dicom, "predict", ours, **how)
        if self.fhir:
            if self.fhir.suffix.lower() != ".json":
                raise click.UsageError(f"--fhir must be FILE.json. Received: {self.fhir}.")
            need(*fhir.EXTRA, "--fhir")
            how = {"overwrite": overwrite, "option": "--fhir"}
            check_file(self.fhir, "predict", fhir.is_fhir, **how)

    def write(self, answer) -> Iterator[str]:
        """Write them.

        Args:
            answer: an `Answer`.

        Yields:
            Lines for the terminal.

        Raises:
            UserError: a place can't be written.
        """
        from cxrkeras.serving.reporting.fhir import as_fhir
        from cxrkeras.serving.reporting.folder import write_reports
        from data_prep.files import atomic_write_text

        if self.dicom:
            yield from write_reports(answer, self.dicom, self.key_file)
        if self.fhir:
            text = as_fhir(answer, self.key_file)
            try:
                atomic_write_text(self.fhir, text)
            except OSError as error:
                why = f"--fhir {self.fhir} can't be written: {error.strerror}."
                raise UserError(why) from error
            yield f"Written: {self.fhir}"


def reporting(command: Callable) -> Callable:
    """The options, passed on as one `reports`."""
    options = (
        click.option(
            "--dicom",
            type=click.Path(path_type=Path, file_okay=False),
            help="Write a DICOM structured report of each DICOM film into this folder, under the "
            "film's patient and study (extra dicom).",
        ),
        click.option(
            "--fhir",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write FHIR R4 Observations into FILE.json (extra fhir).",
        ),
        key_file,
    )

    @wraps(command)
    def together(*, dicom: Path | None, fhir: Path | None, key_file: Path | None, **given):
        return command(reports=Reports(dicom, fhir, key_file), **given)

    for option in reversed(options):
        together = option(together)
    return together
