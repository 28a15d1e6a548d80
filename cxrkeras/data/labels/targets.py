"""Turns label codes (1, 0, -1 uncertain, blank) into training targets by a policy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxrkeras.data.labels.entries import BLANK, GUESSED_BLANK, MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.uncertain import DEFAULT
from cxrkeras.registry import POLICIES
from data_prep.errors import UserError

_REST = MASKED, 0.0, False, 1.0
"""What fills values, spread, guessed and weights where a part of the images has none."""


@dataclass(frozen=True)
class Targets:
    """What some images teach.

    Args:
        values: (N, K) float32 in [0, 1], MASKED, or UNCERTAIN_CLASS; for a range, its middle.
        spread: (N, K) float32, half the width of the range from which an entry is drawn anew in
            each epoch, 0 elsewhere; None if there is no range.
        guessed: (N, K) bool, masked entries that the trained model fills in; None if there are
            none.
        weights: (N, K) float32 in (0, 1], as how much of an entry each counts; None if all are 1.
    """

    values: np.ndarray
    spread: np.ndarray | None = None
    guessed: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: np.ndarray) -> "Targets":
        """The rows picked by a boolean mask or an index; or, by a pair, rows and labels."""
        picked = (None if a is None else a[rows] for a in (self.spread, self.guessed))
        weights = None if self.weights is None else _unless_one(self.weights[rows])
        return Targets(self.values[rows], *map(_unless_empty, picked), weights)

    @property
    def known(self) -> np.ndarray:
        """(N, K) float32: the values in [0, 1], NaN at all other entries."""
        values = self.values
        return np.where((values >= 0) & (values <= 1), values, np.float32(np.nan))

    @property
    def with_weights(self) -> np.ndarray:
        """As losses take them: (N, K) values, or (N, K, 2) with their weights."""
        return self.values if self.weights is None else np.stack(self.weighed, axis=-1)

    @property
    def weighed(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, K) values and their weights, float32."""
        weights = np.ones_like(self.values) if self.weights is None else self.weights
        return self.values, weights

    @property
    def counts(self) -> np.ndarray:
        """(K, 2) positives and negatives; soft or weighed ones count in part."""
        known = self.known
        sides = [known, 1 - known]
        if self.weights is not None:
            sides = [side * self.weights for side in sides]
        return np.stack([np.nansum(side, axis=0) for side in sides], axis=1)

    @property
    def three_way(self) -> np.ndarray:
        """(K,) bool: labels with an uncertain class beside positive and negative."""
        return (self.values == UNCERTAIN_CLASS).any(axis=0)

    def widened(self, places: Sequence[int], width: int) -> "Targets":
        """The same targets in the columns `places` of `width` labels; the others are masked."""

        def wide(array: np.ndarray | None, rest: float) -> np.ndarray | None:
            if array is None:
                return None
            made = np.full((len(array), width), rest, array.dtype)
            made[:, places] = array
            return made

        return Targets(*map(wide, self._arrays, _REST))

    def filled(self, probabilities: np.ndarray, weight: float = 1.0) -> "Targets":
        """The same targets with guessed entries taken from `probabilities`, (N, K) in [0, 1].

        A guess weighs `weight`, in (0, 1]. Where it is negative, the entry stays masked.
        """
        values = np.where(self.guessed, probabilities, self.values).astype(np.float32)
        values = np.where(values < 0, np.float32(MASKED), values)
        weights = np.where(self.guessed, np.float32(weight), self.weighed[1])
        return Targets(values, self.spread, weights=_unless_one(weights))

    def placed(self, rows: np.ndarray, others: "Targets") -> "Targets":
        """The same targets with others in some rows, given by an index."""

        def put(
            ours: np.ndarray | None, theirs: np.ndarray | None, rest: float
        ) -> np.ndarray | None:
            if ours is None and theirs is None:
                return None
            kind = (theirs if ours is None else ours).dtype
            made = np.full(self.values.shape, rest, kind) if ours is None else ours.copy()
            made[rows] = rest if theirs is None else theirs
            return made

        return Targets(*map(put, self._arrays, others._arrays, _REST))

    @property
    def _arrays(self) -> tuple[np.ndarray | None, ...]:
        return self.values, self.spread, self.guessed, self.weights


def stacked(parts: Sequence[Targets]) -> Targets:
    """The targets of several groups of images, one after another."""

    def one(arrays: tuple[np.ndarray | None, ...], rest: float) -> np.ndarray | None:
        kind = next((array.dtype for array in arrays if array is not None), None)
        if kind is None:
            return None
        shapes = [part.values.shape for part in parts]
        return np.concatenate(
            [
                np.full(s, rest, kind) if a is None else a
                for s, a in zip(shapes, arrays, strict=True)
            ]
        )

    return Targets(*map(one, zip(*(part._arrays for part in parts), strict=True), _REST))


def targets_from_codes(
    codes: np.ndarray,
    *,
    uncertain: str | Sequence[str] = DEFAULT,
    blank: str = "zeros",
    blank_weight: float = 1.0,
) -> Targets:
    """Make targets for training; the codes 0 and 1 are never altered.

    Args:
        codes: (N, K) float with 1 present, 0 absent, -1 uncertain, NaN not mentioned.
        uncertain: a policy for all labels, or K of them, one per label; each as `NAME` or
            `NAME:key=value`.
        blank: a name of `BLANK`, what "not mentioned" means.
        blank_weight: in [0, 1], of a blank that isn't masked; of 0, it is.

    Raises:
        UserError: a policy doesn't exist, there isn't one per label, or a code is invalid.
    """
    codes = np.asarray(codes, np.float32)
    _refuse_unknown(codes)
    names = [uncertain] * codes.shape[1] if isinstance(uncertain, str) else list(uncertain)
    if len(names) != codes.shape[1]:
        raise UserError(
            f"Uncertain labels need one policy, or one per label. Received: {len(names)} for "
            f"{codes.shape[1]} labels"
        )
    if blank not in BLANK:
        raise UserError(
            f"Blank labels become one of {', '.join(BLANK)}. Received: {blank!r}. Choose one."
        )
    policies = [POLICIES.make(name) for name in names]
    low, high = np.array([policy.ends() for policy in policies]).reshape(-1, 2).T
    asked, unsaid = codes == -1, np.isnan(codes)
    values = np.where(unsaid, BLANK[blank] if blank_weight else MASKED, codes)
    guessed = asked & np.array([policy.guessed for policy in policies], bool)
    weighs = blank_weight and BLANK[blank] != MASKED
    return Targets(
        np.where(asked, (low + high) / 2, values).astype(np.float32),
        _unless_empty(np.where(asked, (high - low) / 2, 0).astype(np.float32)),
        _unless_empty(guessed | (unsaid & (blank == GUESSED_BLANK))),
        _unless_one(np.where(unsaid, np.float32(blank_weight), np.float32(1))) if weighs else None,
    )


def _unless_empty(array: np.ndarray | None) -> np.ndarray | None:
    return array if array is not None and array.any() else None


def _unless_one(weights: np.ndarray) -> np.ndarray | None:
    return weights if (weights != 1).any() else None


def _refuse_unknown(codes: np.ndarray) -> None:
    known = np.isnan(codes) | np.isin(codes, (-1, 0, 1))
    if not known.all():
        values = ", ".join(f"{value:g}" for value in np.unique(codes[~known])[:5])
        raise UserError(
            f"Label codes are 1, 0, -1 or blank. Received: {values}. Correct the label table."
        )
