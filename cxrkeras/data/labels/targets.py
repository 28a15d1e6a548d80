"""Turns label codes (1, 0, -1 uncertain, blank) into training targets by a policy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxrkeras.data.labels.entries import BLANK, MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.uncertain import DEFAULT
from cxrkeras.registry import POLICIES
from data_prep.errors import UserError


@dataclass(frozen=True)
class Targets:
    """What some images teach.

    Args:
        values: (N, K) float32 in [0, 1], MASKED, or UNCERTAIN_CLASS; for a range, its middle.
        spread: (N, K) float32, half the width of the range from which an entry is drawn anew in
            each epoch, 0 elsewhere; None if there is no range.
        guessed: (N, K) bool, masked entries that the trained model fills in; None if there are
            none.
    """

    values: np.ndarray
    spread: np.ndarray | None = None
    guessed: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: np.ndarray) -> "Targets":
        """The rows picked by a boolean mask or an index."""
        picked = (None if a is None else a[rows] for a in (self.spread, self.guessed))
        return Targets(self.values[rows], *map(_unless_empty, picked))

    @property
    def known(self) -> np.ndarray:
        """(N, K) float32: the values in [0, 1], NaN at all other entries."""
        values = self.values
        return np.where((values >= 0) & (values <= 1), values, np.float32(np.nan))

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

        return Targets(*map(wide, self._arrays, (MASKED, 0.0, False)))

    def filled(self, probabilities: np.ndarray) -> "Targets":
        """The same targets with guessed entries taken from `probabilities`, (N, K) in [0, 1]."""
        values = np.where(self.guessed, probabilities, self.values).astype(np.float32)
        return Targets(values, self.spread)

    def placed(self, rows: np.ndarray, others: "Targets") -> "Targets":
        """The same targets with others in some rows, given by an index."""

        def put(ours: np.ndarray | None, theirs: np.ndarray | None) -> np.ndarray | None:
            if ours is None and theirs is None:
                return None
            kind = (theirs if ours is None else ours).dtype
            made = np.zeros(self.values.shape, kind) if ours is None else ours.copy()
            made[rows] = 0 if theirs is None else theirs
            return made

        return Targets(*map(put, self._arrays, others._arrays))

    @property
    def _arrays(self) -> tuple[np.ndarray | None, ...]:
        return self.values, self.spread, self.guessed


def stacked(parts: Sequence[Targets]) -> Targets:
    """The targets of several groups of images, one after another."""

    def one(arrays: tuple[np.ndarray | None, ...]) -> np.ndarray | None:
        kind = next((array.dtype for array in arrays if array is not None), None)
        if kind is None:
            return None
        shapes = [part.values.shape for part in parts]
        return np.concatenate(
            [np.zeros(s, kind) if a is None else a for s, a in zip(shapes, arrays, strict=True)]
        )

    return Targets(*map(one, zip(*(part._arrays for part in parts), strict=True)))


def targets_from_codes(
    codes: np.ndarray, *, uncertain: str | Sequence[str] = DEFAULT, blank: str = "zeros"
) -> Targets:
    """Make targets for training; the codes 0 and 1 are never altered.

    Args:
        codes: (N, K) float with 1 present, 0 absent, -1 uncertain, NaN not mentioned.
        uncertain: a policy for all labels, or K of them, one per label; each as `NAME` or
            `NAME:key=value`.
        blank: a name of `BLANK`, what "not mentioned" means.

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
    asked = codes == -1
    values = np.where(np.isnan(codes), BLANK[blank], codes)
    return Targets(
        np.where(asked, (low + high) / 2, values).astype(np.float32),
        _unless_empty(np.where(asked, (high - low) / 2, 0).astype(np.float32)),
        _unless_empty(asked & np.array([policy.guessed for policy in policies], bool)),
    )


def _unless_empty(array: np.ndarray | None) -> np.ndarray | None:
    return array if array is not None and array.any() else None


def _refuse_unknown(codes: np.ndarray) -> None:
    known = np.isnan(codes) | np.isin(codes, (-1, 0, 1))
    if not known.all():
        values = ", ".join(f"{value:g}" for value in np.unique(codes[~known])[:5])
        raise UserError(
            f"Label codes are 1, 0, -1 or blank. Received: {values}. Correct the label table."
        )
