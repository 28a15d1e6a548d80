"""The factor that batch weights put on the odds of a label's probability, from drawn batches.

A constant score q settles where the weighted pull of the positives equals that of the negatives, on
average over the batches: q / (1 - q) = E[sum of b_P y] / E[sum of b_N (1 - y)]. What remains after
division by the odds of the label itself is the factor w. b_P and b_N depend on what else is in a
batch: its size, its masked entries, the other labels' positives. So the mean is taken over batches
of the training rows themselves. Positives of a rare label are in few batches; therefore each batch
is made to hold one, and counts for the share of its positives that this one is.
"""

from collections.abc import Sequence

import numpy as np

from cxrkeras.data.labels.entries import UNCERTAIN_CLASS, value_and_weight


def inflation_of_weights(
    targets: Sequence[np.ndarray], rows: Sequence[np.ndarray], *, per_label: bool
) -> np.ndarray:
    """The factor w of `BatchWeightedBCE`.

    Args:
        targets: (N_j, K) or (N_j, K, 2) training targets of each part whose rows stand in the same
            batches.
        rows: (D, B_j) of each part: D batches, as `data.draws.drawn_rows` gives them.
        per_label: weights for each label by itself.

    Returns:
        (K,) float64 w > 0. A label that lacks a class has, with pooled weights, that of an entry of
        any label; else 1.
    """
    batches = _Batches(targets, rows, per_label)
    return np.array([batches.factor(label) for label in range(targets[0].shape[1])])


class _Batches:
    """All rows of the parts, one under the other, with a row of zeros for a place left empty."""

    def __init__(
        self, targets: Sequence[np.ndarray], rows: Sequence[np.ndarray], per_label: bool
    ) -> None:
        nowhere = np.full((1, targets[0].shape[1]), np.nan)
        pairs = zip(*map(value_and_weight, [*targets, nowhere]), strict=True)
        values, weights = (np.concatenate(part).astype(np.float64) for part in pairs)
        known = (values >= 0) & (values <= 1)
        weighed = np.where(known | (values == UNCERTAIN_CLASS), weights, 0.0)
        sides = np.where(known, values, 0.0), np.where(known, 1 - values, 0.0)
        self._sides = [side * weights for side in sides]
        self._pools = [a if per_label else _over_labels(a) for a in (weighed, *self._sides)]
        first = np.cumsum([0, *map(len, targets)])
        moved = [np.where(r < 0, -1, r + start) for r, start in zip(rows, first, strict=False)]
        self._rows = np.concatenate(moved, axis=1)
        rng = np.random.default_rng(0)
        self._parts = [
            _Part(r, start, stop, self._rows, rng)
            for r, start, stop in zip(moved, first[:-1], first[1:], strict=True)
        ]

    def factor(self, label: int) -> float:
        """The factor of one label."""
        weighed, *pools = self._pools
        pulls = []
        for side, pool in zip(self._sides, pools, strict=True):
            # Where a label lacks a class, what an entry of any label weighs there.
            share = side[:, label] if side[:, label].any() else pool[:, label]
            mass = sum(part.places * share[part.own].mean() for part in self._parts)
            if not mass:
                return 1.0
            pulls.append(self._pull(share, pool[:, label], weighed[:, label]) / mass)
        return pulls[0] / pulls[1]

    def _pull(self, share: np.ndarray, pool: np.ndarray, weighed: np.ndarray) -> float:
        """The expected sum of b y over a batch, b = n / |P|.

        Args:
            share: (N,) y, how far each row's entry belongs to the class.
            pool: (N,) its part of |P|.
            weighed: (N,) its part of n.
        """
        belongs = share > 0
        # Copied, so that each lies in one piece.
        columns = [np.array(column, np.float64) for column in (weighed, pool, share, belongs)]
        sums = [column[self._rows].sum(axis=1) for column in columns]
        pull = 0.0
        for part in self._parts:
            members = part.own.start + np.flatnonzero(belongs[part.own])
            if len(members) and len(part.batches):
                n, p, own, count = part.holding(members, columns, sums)
                each = n * np.divide(own, p, out=np.ones_like(own), where=p > 0) / count
                rate = len(members) / (part.own.stop - part.own.start)
                pull += part.places * rate * each.mean()
        return pull


def _over_labels(array: np.ndarray) -> np.ndarray:
    return np.broadcast_to(array.sum(axis=1, keepdims=True), array.shape)


class _Part:
    """One part's rows, and a random place of it in each batch."""

    def __init__(
        self, rows: np.ndarray, start: int, stop: int, batch: np.ndarray, rng: np.random.Generator
    ) -> None:
        self.own = slice(start, stop)
        self.places = (rows >= 0).sum() / len(rows)  # of a batch, on average
        chosen = rows[np.arange(len(rows)), rng.integers(rows.shape[1], size=len(rows))]
        self.batches = np.flatnonzero(chosen >= 0)
        self._out, self._whole = chosen[self.batches], batch[self.batches]
        self._times = (self._whole == self._out[:, None]).sum(axis=1)

    def holding(
        self, members: np.ndarray, columns: list[np.ndarray], sums: list[np.ndarray]
    ) -> list[np.ndarray]:
        """The sums over the batches, if one of `members` stands at the chosen place.

        It changes places with the row that is there, throughout the epoch: any order of the rows is
        as likely as any other, so the batches are as random as before.
        """
        into = members[np.arange(len(self._out)) * len(members) // len(self._out)]
        times = self._times - (self._whole == into[:, None]).sum(axis=1)
        return [
            total[self.batches] + times * (column[into] - column[self._out])
            for column, total in zip(columns, sums, strict=True)
        ]
