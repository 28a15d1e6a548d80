"""A bag of visual words: how often each word occurs where on the film, and what that tells.

Source: Bosch, Zisserman and Munoz, Image classification using random forests and ferns, ICCV 2007
(PHOW); Lazebnik, Schmid and Ponce, CVPR 2006 (spatial pyramid); Vedaldi and Zisserman, Efficient
additive kernels via explicit feature maps, PAMI 2012 (the map of the chi-squared kernel).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit
from sklearn.kernel_approximation import AdditiveChi2Sampler

from cxrkeras.models.words.sift import WIDTH, Grid, dense_sift
from data_prep.errors import UserError
from data_prep.files import replacing

MAPPED = 3
"""Features that the map makes of a number."""
_CHUNK = 1024  # columns mapped at once
STEP, BIN, LEVEL = (2, 64), (2, 64), (1, 16)
"""The least and the most of what a vocabulary may ask for."""
MOST_WORDS = 10_000


@dataclass(frozen=True)
class Vocabulary:
    """Words, and where they are counted.

    Args:
        words: (W, 128) float32.
        grid: of the descriptors.
        levels: of the pyramid: cells along each edge.
    """

    words: np.ndarray
    grid: Grid
    levels: tuple[int, ...]

    @property
    def width(self) -> int:
        """The numbers of a histogram: a word in a cell each."""
        return len(self.words) * sum(level**2 for level in self.levels)

    def histograms(self, images: np.ndarray) -> np.ndarray:
        """(N, S, S) or (N, S, S, 1), grey 0-255 -> (N, D) float32; each row's sum is 1."""
        return np.stack([self._histogram(image.reshape(image.shape[:2])) for image in images])

    def _histogram(self, image: np.ndarray) -> np.ndarray:
        counts = [np.zeros(level**2 * len(self.words), np.float32) for level in self.levels]
        half = np.einsum("ij,ij->i", self.words, self.words) / 2
        for descriptors, middles in dense_sift(image, self.grid):
            nearest = (half - descriptors @ self.words.T).argmin(axis=1)
            for level, count in zip(self.levels, counts, strict=True):
                cells = np.minimum(middles * level // (len(image) - 1), level - 1).astype(int)
                place = (cells[:, 0] * level + cells[:, 1]) * len(self.words) + nearest
                count += np.bincount(place, minlength=len(count))
        shares = [count / count.sum() for count in counts]
        return np.concatenate(shares) / np.float32(len(shares))


@dataclass(frozen=True)
class Bag:
    """A vocabulary, and for each label a linear machine on mapped histograms.

    Args:
        vocabulary: the words.
        weights: (K, 3, D) float32.
        bias: (K,) float32: a label's decision value is w·f + bias.
        slope: (K,) float32.
        offset: (K,) float32: its probability is σ(slope · decision + offset).
    """

    vocabulary: Vocabulary
    weights: np.ndarray
    bias: np.ndarray
    slope: np.ndarray
    offset: np.ndarray

    def scores(self, images: np.ndarray) -> np.ndarray:
        """(N, S, S) or (N, S, S, 1), grey 0-255 -> (N, K) probabilities, float64."""
        return self.scores_of(self.vocabulary.histograms(images))

    def scores_of(self, histograms: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, K)."""
        decisions = np.zeros((len(histograms), len(self.bias)))
        for columns, mapped in mapped_parts(histograms):
            decisions += mapped @ self.weights[:, :, columns].reshape(len(self.bias), -1).T
        return expit(self.slope * (decisions + self.bias) + self.offset)

    def save(self, path: Path) -> None:
        """Write a `.safetensors` file, in one step."""
        from safetensors.numpy import save_file

        words = self.vocabulary
        layout = {"step": [words.grid.step], "bins": words.grid.bins, "levels": words.levels}
        tensors = {name: np.array(values, np.int32) for name, values in layout.items()}
        tensors |= {"words": words.words} | {name: getattr(self, name) for name in _OF_LABELS}
        with replacing(path, path.suffix) as temporary:
            save_file({name: np.ascontiguousarray(x) for name, x in tensors.items()}, temporary)


_OF_LABELS = ("weights", "bias", "slope", "offset")


def load_bag(path: Path, labels: int, side: int) -> Bag:
    """Read what `Bag.save` wrote. Nothing in it is executed; its arrays are as large as they lie.

    Args:
        path: of the file.
        labels: K.
        side: S of the images that it is to be asked.

    Raises:
        UserError: it is missing or damaged, or doesn't fit these.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _checked(found, labels, side)
    except (SafetensorError, OSError, TypeError, AttributeError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} isn't a bag of words for {labels} labels and images of {side} px "
            f"({type(error).__name__}). Give it with its own model.json, or train again."
        ) from None


def _checked(found: dict[str, np.ndarray], labels: int, side: int) -> Bag:
    step, bins, levels = (
        _whole(found[name], *bounds)
        for name, bounds in (("step", STEP), ("bins", BIN), ("levels", LEVEL))
    )
    vocabulary = Vocabulary(found["words"], Grid(step[0], bins), levels)
    shapes = dict.fromkeys(_OF_LABELS, (labels,))
    shapes |= {"words": (len(found["words"]), WIDTH), "weights": (labels, MAPPED, vocabulary.width)}
    for name, shape in shapes.items():
        values = found[name]
        if values.dtype != np.float32 or values.shape != shape or not np.isfinite(values).all():
            raise ValueError(name)
    if vocabulary.grid.smallest > side or not 1 <= len(vocabulary.words) <= MOST_WORDS:
        raise ValueError("words")
    return Bag(vocabulary, *(found[name] for name in _OF_LABELS))


def _whole(values: np.ndarray, low: int, high: int) -> tuple[int, ...]:
    told = tuple(values.tolist())
    if (
        values.dtype != np.int32
        or not 1 <= len(told) <= high
        or not all(low <= value <= high for value in told)
    ):
        raise ValueError(told)
    return told


def mapped_parts(histograms: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Some columns at a time: their slice, and (N, 3 · columns) features.

    A row's dot product with another's is about the additive chi-squared kernel of their
    histograms, the sum of 2xy / (x + y).
    """
    sampler = AdditiveChi2Sampler(sample_steps=(MAPPED + 1) // 2)
    for start in range(0, histograms.shape[1], _CHUNK):
        columns = slice(start, start + _CHUNK)
        yield columns, sampler.fit_transform(histograms[:, columns])
