"""What is to be explained: files or a prepared dataset, with folds, patients and known boxes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cxrkeras.data.dataset import PreparedDataset, load_dataset
from cxrkeras.data.preparation import Preparation, preparation_of
from cxrkeras.evaluation.boxes.known_boxes import (
    KnownBoxes,
    check_names,
    image_key,
    read_known_boxes,
)
from cxrkeras.serving.predict.films import find_films
from cxrkeras.serving.predict.told import Told, of_table
from cxrkeras.serving.predict.unseen import OwnImages, own_images
from cxrkeras.serving.predictor.card import Card
from data_prep.errors import UserError
from data_prep.say import say


@dataclass(frozen=True)
class Inputs:
    """N files and what is known of them.

    Attributes:
        files: the images.
        own: images that the model has learnt from.
        patients: for each its patient's pseudonym; "" where unknown.
        preparation: what is still to be done to the files.
        known: boxes to score against, or None.
        refused: (file, reason) of what isn't even a file.
        told: for each file what a table or manifest tells the model, which goes over its header;
            None where there is none.
    """

    files: tuple[Path, ...]
    own: OwnImages
    patients: tuple[str, ...]
    preparation: Preparation
    known: KnownBoxes | None
    refused: tuple[tuple[Path, str], ...] = ()
    told: tuple[Told, ...] | None = field(default=None, repr=False)

    @property
    def reason(self) -> str:
        """Why there may be nothing to do, to follow "no image to explain"."""
        if self.refused:
            return f" ({self.refused[0][0]}: {self.refused[0][1]})"
        return "" if self.known is None else " (none has a known box)"

    def only_boxed(self) -> "Inputs":
        """Only the images that have known boxes."""
        boxed = set() if self.known is None else self.known.images
        keep = [image_key(file.name) in boxed for file in self.files]
        columns = {
            name: tuple(v for v, kept in zip(getattr(self, name), keep, strict=True) if kept)
            for name in ("files", "patients", "told")
            if getattr(self, name) is not None
        }
        return replace(self, **columns)


def file_inputs(
    card: Card, words: Sequence[str], boxes: Path | None, table: Path | None = None
) -> Inputs:
    """Files, folders and patterns, prepared as the model's training images were.

    Args:
        card: of the model.
        words: as `films.find_films` takes them.
        boxes: a table of known boxes, in pixels of images as the model's were prepared.
        table: what the model is told beside the images, see `told.of_table`.

    Raises:
        UserError: a table for a model that takes the image alone, or one that can't be used.
    """
    if table is not None and not card.extras:
        raise UserError(f"--table: {card.path} takes the image alone. Leave --table out.")
    files, refused = find_films(words)
    if boxes:
        check_names(map(str, files), "--boxes")
    side = card.preparation.image_size
    return Inputs(
        tuple(files),
        own_images(card, files),
        ("",) * len(files),
        card.preparation,
        read_known_boxes(boxes, side) if boxes else None,
        tuple((film.path, film.reason) for film in refused),
        tuple(of_table(table, files, card.extras)) if table and files else None,
    )


def data_inputs(card: Card, root: Path, boxes: Path | None) -> Inputs:
    """All images of a prepared dataset, as they are.

    Args:
        card: of the model.
        root: the dataset.
        boxes: a table of known boxes; the dataset's own `boxes.csv` if None, if it has one.
    """
    dataset = load_dataset(root)
    prepared = preparation_of(root)
    if prepared is not None and replace(prepared, image_size=1) != replace(
        card.preparation, image_size=1
    ):
        say(
            f"Warning: {root} was prepared with another --pad or --stretch than the model's images."
        )
    files = [Path(path) for path in dataset.paths]
    own = root / "boxes.csv"
    table = boxes or (own if own.is_file() else None)
    return Inputs(
        tuple(files),
        own_images(card, dataset=root),
        tuple(dataset.patients.tolist()),
        Preparation(dataset.image_size),
        read_known_boxes(table, dataset.image_size) if table else None,
        told=_of_manifest(dataset, card.extras) if card.extras else None,
    )


def _of_manifest(dataset: PreparedDataset, names: Sequence[str]) -> tuple[Told, ...]:
    columns = {name: dataset.told[name].tolist() for name in names if name in dataset.told}
    return tuple(
        {name: cells[row] for name, cells in columns.items()} for row in range(len(dataset))
    )
