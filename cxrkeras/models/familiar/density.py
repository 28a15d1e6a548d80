"""Where the features of films lie, and how far from there another film's do.

Source: Lee et al., NeurIPS 2018 (Mahalanobis distance of a network's features), with one class; the
covariance is that of probabilistic principal components (Tipping and Bishop 1999): the leading axes
as they are, the rest alike. Distances to the nearest training films (Sun et al., ICML 2022) part
other pictures from films as well here, but keep each training film's features in the model.
"""

from dataclasses import dataclass

import numpy as np

AXES = 64
_LEAST = 3  # films from which a spread can be told
_LEVEL = 1e-6  # a spread, relative to the mean or to the largest, that is only rounding error


@dataclass(frozen=True)
class Density:
    """A Gaussian of features, each standardised.

    Args:
        mean: (C,) float32.
        scale: (C,) float32, above 0.
        axes: (A, C) float32, of unit length and at right angles; A may be 0.
        spread: (A,) float32, the variance along each, above 0.
        noise: the variance along every other direction, above 0.
    """

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    spread: np.ndarray
    noise: float

    def distance(self, features: np.ndarray) -> np.ndarray:
        """(N,) float64, the squared Mahalanobis distances of features (N, C)."""
        standard = (np.asarray(features, np.float64) - self.mean) / self.scale
        along = standard @ self.axes.T.astype(np.float64)
        rest = np.square(standard).sum(axis=1) - np.square(along).sum(axis=1)
        return (np.square(along) / self.spread).sum(axis=1) + np.maximum(rest, 0) / self.noise


def fit_density(features: np.ndarray, axes: int = AXES) -> Density | None:
    """The Gaussian of (N, C) features; None where they hardly differ, or there are too few.

    Args:
        features: of training films.
        axes: A, at most.
    """
    values = np.asarray(features, np.float64)
    if len(values) < _LEAST:
        return None
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.where(scale > _LEVEL * np.abs(mean), scale, 0)
    standard = np.divide(values - mean, scale, out=np.zeros_like(values), where=scale > 0)
    _, sizes, directions = np.linalg.svd(standard, full_matrices=False)
    variances = np.square(sizes) / (len(values) - 1)
    if not variances[0] > 0:
        return None
    told = variances > _LEVEL * variances[0]
    told[min(axes, len(values) - 2) :] = False
    kept = int(told.sum())
    others = max(values.shape[1] - kept, 1)
    noise = max(variances[kept:].sum() / others, _LEVEL * variances[0])
    return Density(
        mean.astype(np.float32),
        np.where(scale > 0, scale, 1).astype(np.float32),
        directions[:kept].astype(np.float32),
        variances[:kept].astype(np.float32),
        float(noise),
    )
