"""A trained model to ask from Python."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrkeras.face.errors import names_arguments
from cxrkeras.face.films import PathLike, admitted
from cxrkeras.face.old_arguments import formerly
from cxrkeras.serving.explain import MAPS
from data_prep.errors import UserError

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd
    from PIL import Image

    from cxrkeras.serving.explain.folds import Explanation
    from cxrkeras.serving.predictor.card import Card
    from cxrkeras.serving.predictor.predictor import Predictor as Loaded

_CALIBRATIONS = (None, "temperature", "isotonic")


class Model:
    """A model, or the folds of a run as an ensemble; `cxrkeras.load` makes it.

    Example:
        >>> model = cxrkeras.load("runs/first")
        >>> model.image_size
        32
    """

    def __init__(self, card: "Card"):
        self._card = card

    def __repr__(self) -> str:
        members = self._card.count
        of = f"{members} models" if members > 1 else "1 model"
        return f"<cxrkeras model {str(self._card.path)!r}: {of}, {', '.join(self.labels)}>"

    @property
    def labels(self) -> tuple[str, ...]:
        """The K labels in the order of the outputs.

        Example:
            >>> len(cxrkeras.load("runs/first").labels)
            4
        """
        return self._card.labels

    @property
    def image_size(self) -> int:
        """The side in pixels of the images that the model sees.

        Example:
            >>> cxrkeras.load("runs/first").image_size
            32
        """
        return self._card.image_size

    @property
    def doubts(self) -> list[str]:
        """What must be said before its answers are believed, in sentences.

        Example:
            >>> isinstance(cxrkeras.load("runs/first").doubts, list)
            True
        """
        return self._card.doubts()

    @cached_property
    def _loaded(self) -> "Loaded":
        from cxrkeras import runtime

        runtime.start()
        from cxrkeras.serving.predictor.loaded import load_card

        return load_card(self._card)

    @names_arguments
    def predict(
        self,
        files: PathLike | Sequence[PathLike],
        *,
        operating_point: str | None = None,
        calibrate: str | None = None,
        table: PathLike | None = None,
        batch_size: int = 16,
        workers: int | None = None,
        flag_unlike: float = 0.99,
        abstain: float | None = None,
        **admission: Any,
    ) -> "pd.DataFrame":
        """Probabilities and decisions for films, as `cxrkeras predict`. Not for clinical use.

        Args:
            files: DICOM, PNG, JPEG or TIFF files, folders, or patterns; one or several.
            operating_point: `corrected`, `prevalence`, `youden`, `sensitivity=0.95` or
                `specificity=0.9` (any share), or a rule of another package; by default
                `corrected`, or `prevalence` where the loss's distortion isn't known.
            calibrate: None, `temperature` or `isotonic`: give calibrated probabilities too.
            table: for a model that takes age, sex or view beside the image, or answers for the
                films of a study together: a table with these or the study, and the films' names in
                a column `image` or `file`. It goes over DICOM headers, from which they are read
                without it; what isn't known there is unknown to the model.
            batch_size: images at a time.
            workers: decoding processes, one per core by default; 0 decodes in this process,
                without its limits of memory and time.
            flag_unlike: flag a film as unlike the training films if at least this share of the
                out-of-fold films is more like them.
            abstain: None, or the share of films on which each label's decision is withheld: those
                nearest to the threshold, as found out of fold.
            **admission: what is accepted as a film, as for `cxrkeras.prepare`.

        Returns:
            A row for each file, in order: `file`, `file_name`, then for each label `prob_LABEL`,
            `adjusted_LABEL` (where the loss distorts), `calibrated_LABEL` (where asked for),
            `threshold_LABEL` and `positive_LABEL` (1, 0 or `withheld`); then `unlike`, the share
            of out-of-fold films that are more like the training films, and `flagged`, both missing
            for models of earlier versions; then `warnings`, and `error` with the reason of a file
            that can't be used, whose numbers are missing. `cxrkeras predict --out FILE.csv`
            writes the same.

        Raises:
            UserError: the model lacks the operating point or the calibration, or is damaged.

        Example:
            >>> table = cxrkeras.load("runs/first").predict("films", workers=0)
            >>> bool(table["prob_Effusion"].between(0, 1).all())
            True
        """
        from cxrkeras.evaluation.rules import parse_rule
        from cxrkeras.serving.predict.answers import as_table
        from cxrkeras.serving.predict.run import predict_words

        _check_among("calibrate", calibrate, _CALIBRATIONS)
        if batch_size < 1:
            raise UserError(f"--batch-size is at least 1. Received: {batch_size}.")
        told = predict_words(
            self._card,
            _words(files),
            parse_rule(operating_point) if operating_point else self._card.default_rule,
            calibration=calibrate,
            table=None if table is None else Path(table),
            batch_size=batch_size,
            admission=admitted(admission),
            workers=workers,
            load=lambda: self._loaded,
            limit=flag_unlike,
            abstain=abstain,
        )
        return as_table(told)

    @names_arguments
    def keras_model(self) -> "keras.Model":
        """The model for Keras; of a run, the mean of its folds' models as one.

        Returns:
            A `keras.Model` from `image`, (N, S, S, 1) grey with values 0 to 255 and S =
            `image_size`, to probabilities (N, K). It shares its weights with this model.

        Raises:
            UserError: a file is damaged.

        Example:
            >>> cxrkeras.load("runs/first").keras_model().output_shape
            (None, 4)
        """
        return self._loaded.keras_model()

    @names_arguments
    @formerly(method="map")
    def explain(
        self,
        file: PathLike,
        *,
        map: str | None = None,
        table: PathLike | None = None,
        workers: int | None = None,
        **admission: Any,
    ) -> "Explained":
        """Where in a film each label's score comes from. Not for clinical use.

        A film of the run's own is explained by the one model that hasn't seen it. `cxrkeras
        explain` does the same for many films, into a folder.

        Args:
            file: a DICOM, PNG, JPEG or TIFF file.
            map: `own` (the head's own), `cam`, `gradcam`, `gradcam++` or `relevance`; by default
                `own` where there is one, else `cam` where it is exact, else for a trunk with
                attention `relevance`, else `gradcam`.
            table: as for `predict`, for a model that takes age, sex or view: its maps hold these
                at what is known of the film, and show the image's part of a score.
            workers: as for `predict`.
            **admission: what is accepted as a film, as for `cxrkeras.prepare`.

        Returns:
            The maps, with what they show.

        Raises:
            UserError: the film can't be read, or the model has no such map.

        Example:
            >>> told = cxrkeras.load("runs/first").explain("films/one.dcm", workers=0)
            >>> len(told.maps)
            4
        """
        _check_among("map", map, (None, *MAPS))
        from cxrkeras.serving.explain.run import explain_film

        told = explain_film(
            self._card,
            Path(file),
            method=map,
            table=None if table is None else Path(table),
            admission=admitted(admission),
            workers=workers,
            load=lambda: self._loaded,
        )
        return Explained(self.labels, told)


@dataclass(frozen=True, repr=False)
class Explained:
    """One film, explained; `Model.explain` makes it.

    Attributes:
        labels: K names.

    Example:
        >>> told = cxrkeras.load("runs/first").explain("films/one.dcm", workers=0)
        >>> told.film.shape, len(told.maps), told.probability.shape, told.learnt
        ((64, 64), 4, (4,), False)
        >>> told.overlay("Effusion").size
        (512, 512)
    """

    labels: tuple[str, ...]
    _told: "Explanation"

    def __repr__(self) -> str:
        return f"<explanation of {', '.join(self.labels)}>"

    @property
    def film(self) -> "np.ndarray":
        """(P, P) uint8, the film as it was prepared."""
        return self._told.square

    @property
    def maps(self) -> "np.ndarray":
        """(K, h, w) float32; the cells tile the film."""
        return self._told.maps

    @property
    def probability(self) -> "np.ndarray":
        """(K,) float64, in [0, 1]."""
        return self._told.probability

    @property
    def learnt(self) -> bool:
        """Whether what explains the film has learnt from it, which flatters the answer."""
        return self._told.learnt

    @names_arguments
    def overlay(self, label: str, *, opacity: float = 0.6, side: int = 512) -> "Image.Image":
        """One label's map in colours over the film; a line marks the upper 30% of its range.

        Args:
            label: one of `labels`.
            opacity: of the map's highest value, 0 to 1.
            side: of the picture, pixels.

        Returns:
            A square picture, which a notebook shows.

        Raises:
            UserError: the model has no such label, or the opacity isn't from 0 to 1.
        """
        _check_among("label", label, self.labels)
        if not 0 <= opacity <= 1:
            raise UserError(f"--opacity lies between 0 and 1. Received: {opacity}.")
        from cxrkeras.serving.explain.overlay import blend

        return blend(self.film, self.maps[self.labels.index(label)], side, opacity)


def _words(files: PathLike | Sequence[PathLike]) -> list[str]:
    several = [files] if isinstance(files, str | os.PathLike) else files
    return [os.fspath(file) for file in several]


def _check_among(name: str, value: object, known: Sequence) -> None:
    if value not in known:
        raise UserError(f"--{name} is one of {', '.join(map(str, known))}. Received: {value!r}.")
