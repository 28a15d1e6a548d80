"""Whole patients assigned to parts in given proportions, with label counts as even as possible.

A greedy pass (Sechidis et al. 2011, generalised from images to patients) is refined by moving and
swapping patients until nothing lowers the objective, Pearson's statistic of the counts:

    sum over parts f and columns j of (n_fj - e_fj)^2 / e_fj,    e_fj = proportion_f * n_j,

with one column per label (its positive images) and one for the number of images.
"""

from itertools import combinations

import numpy as np

EPSILON = 1e-9  # a smaller gain is rounding error, and would let the search run in circles
SWAP_CANDIDATES = 128


def split_patients(
    targets: np.ndarray, patients: np.ndarray, proportions: np.ndarray, seed: int
) -> np.ndarray:
    """Assign every image to a part so that no patient is in two parts.

    Args:
        targets: (N, K) float, 1 = positive; 0, NaN and negative count as not positive.
        patients: (N,) patient of each image.
        proportions: (F,) > 0, the share of each part; scaled to sum to 1.
        seed: decides ties. The same table, in any row order, gives the same parts.

    Returns:
        (N,) int, the part of each image. Moving any single patient wouldn't lower `imbalance`.
    """
    _, index = np.unique(patients, return_inverse=True)
    counts = patient_counts(targets, index)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(counts))
    wanted = np.outer(np.asarray(proportions, float) / np.sum(proportions), counts.sum(axis=0))
    parts = np.empty(len(counts), int)
    parts[order] = refine(counts[order], greedy(counts[order], wanted, rng), wanted)
    return parts[index]


def patient_counts(targets: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(P, K + 1) float: each patient's positive images per label, then the number of its images.

    Args:
        targets: (N, K), as for `split_patients`.
        index: (N,) int patient of each image, 0 to P - 1.
    """
    rows = np.column_stack([np.asarray(targets) > 0.5, np.ones(len(index), bool)])
    counts = np.empty((index.max() + 1, rows.shape[1]))
    for column in range(rows.shape[1]):
        counts[:, column] = np.bincount(index, weights=rows[:, column], minlength=len(counts))
    return counts


def imbalance(counts: np.ndarray, parts: np.ndarray, wanted: np.ndarray) -> float:
    """The objective of the module: 0 when each part has exactly its share of every column.

    Args:
        counts: (P, J) per patient.
        parts: (P,) int part of each.
        wanted: (F, J) expected counts.
    """
    have = np.zeros_like(wanted)
    np.add.at(have, parts, counts)
    return float(((have - wanted) ** 2 * _inverse(wanted)).sum())


def greedy(counts: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Assign the rarest label first, its largest patients first, each to the neediest part.

    Ties go to the part with the largest deficit of images, then to a random one.

    Args:
        counts: (P, K + 1) per patient, the last column holds the images.
        wanted: (F, K + 1) expected counts.
        rng: for ties.

    Returns:
        (P,) int parts.
    """
    parts = np.full(len(counts), -1)
    need = wanted.copy()
    while (free := np.flatnonzero(parts < 0)).size:
        label = _rarest(counts[free])
        chosen = free[counts[free, label] > 0]
        for patient in chosen[np.lexsort((-counts[chosen, -1], -counts[chosen, label]))]:
            part = _neediest(need[:, label], need[:, -1], rng)
            parts[patient] = part
            need[part] -= counts[patient]
    return parts


def _rarest(counts: np.ndarray) -> int:
    """The label with the fewest positives left, or the column of images when none is left."""
    totals = counts[:, :-1].sum(axis=0)
    return int(np.where(totals > 0, totals, np.inf).argmin()) if totals.any() else -1


def _neediest(need: np.ndarray, images: np.ndarray, rng: np.random.Generator) -> int:
    best = np.flatnonzero(need > need.max() - EPSILON)
    if best.size > 1:
        best = best[images[best] > images[best].max() - EPSILON]
    return int(best[0] if best.size == 1 else rng.choice(best))


def refine(counts: np.ndarray, parts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Move, then swap, patients between parts until neither lowers `imbalance`.

    The best move of all is made each time. Only the `SWAP_CANDIDATES` patients whose own moves cost
    least are tried as partners in a swap, so the result is optimal for moves and good for swaps.

    Args:
        counts: (P, J) per patient.
        parts: (P,) int, where to start.
        wanted: (F, J) expected counts.

    Returns:
        (P,) int parts.
    """
    search = _Search(counts, parts, wanted)
    while search.move() or search.swap():
        pass
    return search.parts


class _Search:
    """Local search over kinds of patients: those with equal counts are interchangeable."""

    def __init__(self, counts: np.ndarray, parts: np.ndarray, wanted: np.ndarray):
        self.parts = parts.copy()
        self.kinds, self.kind = np.unique(counts, axis=0, return_inverse=True)
        self.inverse = _inverse(wanted)
        self.excess = -wanted
        np.add.at(self.excess, parts, counts)
        self.members = np.zeros((len(self.kinds), len(wanted)), int)
        np.add.at(self.members, (self.kind, parts), 1)

    def costs(self) -> np.ndarray:
        """(kinds, from, to) change of the objective; inf where nobody can be moved."""
        square, slope = self.kinds**2 @ self.inverse.T, 2 * self.excess * self.inverse
        into = self.kinds @ slope.T + square
        out = square - self.kinds @ slope.T
        costs = out[:, :, None] + into[:, None, :]
        costs[self.members == 0] = np.inf
        own = np.arange(len(self.excess))
        costs[:, own, own] = np.inf
        return costs

    def move(self) -> bool:
        costs = self.costs()
        kind, start, end = np.unravel_index(costs.argmin(), costs.shape)
        if costs[kind, start, end] > -EPSILON:
            return False
        self._shift(kind, start, end)
        return True

    def swap(self) -> bool:
        costs = self.costs()
        pairs = combinations(range(len(self.excess)), 2)
        gain, *best = min(self._best_swap(costs, a, b) for a, b in pairs)
        if gain > -EPSILON:
            return False
        there, back, a, b = best
        self._shift(there, a, b)
        self._shift(back, b, a)
        return True

    def _best_swap(self, costs: np.ndarray, a: int, b: int) -> tuple[float, int, int, int, int]:
        """The cheapest swap between parts a and b: its cost, the kinds that go, a and b."""
        there, back = _cheapest(costs[:, a, b]), _cheapest(costs[:, b, a])
        if not (there.size and back.size):
            return np.inf, 0, 0, a, b
        weight = 2 * (self.inverse[a] + self.inverse[b])
        cross = (self.kinds[there] * weight) @ self.kinds[back].T
        total = costs[there, a, b][:, None] + costs[back, b, a][None, :] - cross
        i, j = np.unravel_index(total.argmin(), total.shape)
        return float(total[i, j]), int(there[i]), int(back[j]), a, b

    def _shift(self, kind: int, start: int, end: int) -> None:
        patient = np.flatnonzero((self.kind == kind) & (self.parts == start))[0]
        self.parts[patient] = end
        self.members[kind, [start, end]] += [-1, 1]
        self.excess[start] -= self.kinds[kind]
        self.excess[end] += self.kinds[kind]


def _cheapest(costs: np.ndarray) -> np.ndarray:
    order = np.argsort(costs, kind="stable")[:SWAP_CANDIDATES]
    return order[np.isfinite(costs[order])]


def _inverse(wanted: np.ndarray) -> np.ndarray:
    return np.divide(1.0, wanted, out=np.zeros_like(wanted), where=wanted > 0)
