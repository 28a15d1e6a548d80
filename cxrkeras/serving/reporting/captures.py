"""The Secondary Captures of one explanation: `dicom/NAME-LABEL.dcm` for each picture of a map."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from PIL import Image

from cxrkeras.serving.reporting.capture import secondary_capture
from cxrkeras.serving.reporting.said import Algorithm
from cxrkeras.serving.reporting.source import read_source
from cxrkeras.serving.reporting.written import write
from data_prep.errors import RejectedFile
from data_prep.filenames import printable

_SHAPE = "The film is as the model sees it, a square; sizes can't be measured in it."


@dataclass
class Captures:
    """What is written beside the pictures of maps.

    Attributes:
        algorithm: that made them.
        labels: of the model, by which instances are numbered.
        refused: (film, reason) of those of which there is none.
        count: how many were written.
    """

    algorithm: Algorithm
    labels: tuple[str, ...]
    refused: list[tuple[Path, str]] = field(default_factory=list)
    count: int = 0

    def of_map(self, method: str) -> None:
        """Say, in all that follow, how maps are made."""
        told = (*self.algorithm.parameters, f"map: {method}")
        self.algorithm = replace(self.algorithm, parameters=told)

    def add(
        self, film: Path, number: int, pictures: Mapping[Path, tuple[str, Image.Image]], note: str
    ) -> None:
        """Write the captures of one film.

        Args:
            film: the file.
            number: its place among all films.
            pictures: {file to write: (label, picture of its map)}.
            note: how the maps were made.
        """
        try:
            source = read_source(film)
            for path, (label, picture) in pictures.items():
                place = number * len(self.labels) + self.labels.index(label) + 1
                told = f"Heat map of {label}. {note}. {_SHAPE}"
                content = source, picture, told, self.algorithm, place
                write(path, partial(secondary_capture, *content))
                self.count += 1
        except RejectedFile as refusal:
            self.refused.append((film, str(refusal)))

    def line(self) -> str:
        """What came of it, for the terminal."""
        told = f"Secondary Captures: {self.count:,}, with names of patients."
        if self.refused:
            film, reason = self.refused[0]
            more = f", and {len(self.refused) - 1:,} more" if len(self.refused) > 1 else ""
            told += f" None of {printable(film)}: {reason}{more}."
        return told
