"""Shortcut baselines, one per file: what can be known of a film without looking at its lungs."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrkeras.registry import Part

if TYPE_CHECKING:
    import pandas as pd


class Shortcut(Part):
    """Features of images, from which a logistic regression learns the labels.

    Its docstring's first line says what it knows.
    """

    @abstractmethod
    def features(self, dataset: Path, rows: "pd.DataFrame") -> np.ndarray:
        """What it knows of N images.

        Args:
            dataset: the prepared dataset's folder.
            rows: N rows of its manifest, as text, "" where blank.

        Returns:
            (N, F) float, finite; F may be 0, and it is left out then.
        """
        raise NotImplementedError


def squares(dataset: Path, images: Sequence[str], side: int) -> np.ndarray:
    """Prepared images reduced to (N, side, side) float32, grey 0-255, each cell a mean.

    Raises:
        UserError: an image is missing or damaged.
    """
    from PIL import Image

    from data_prep.errors import UserError

    found = np.empty((len(images), side, side), np.float32)
    for number, name in enumerate(images):
        try:
            with Image.open(dataset / name) as image:
                small = image.convert("F").resize((side, side), Image.Resampling.BOX)
        except OSError as error:
            raise UserError(
                f"An image of {dataset} is missing or damaged. Prepare the dataset again."
            ) from error
        found[number] = np.asarray(small)
    return found
