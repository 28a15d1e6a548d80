"""Where the biases of a network's outputs start: at the log odds of the labels' shares."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit

from cxrkeras.data.distortion import Distortion, Factor, log_odds
from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS, value_and_weight


def prior_biases(
    name: str,
    targets: Sequence[np.ndarray],
    distortion: Callable[[Sequence[np.ndarray]], Distortion | None],
    *,
    three_way: bool = False,
    amounts: Sequence[float] | None = None,
) -> dict[str, np.ndarray]:
    """Biases at which a classifier whose kernel is zero has its smallest loss.

    The logit of every image is then the log odds of its label's share, as the loss distorts them,
    say ln(w P / N), with half an entry for a class that is missing, so that it is finite. A bias of
    0 stands for a share of 1 / (1 + w), far from a rare label's: a short fit would not get there,
    the mean of its weights still less, and the corrected threshold, which rests on that optimum,
    would lie below every score.

    Args:
        name: the output's.
        targets: (N_j, K) training targets of each part, outside [0, 1] = masked or uncertain, or
            (N_j, K, 2) with weights.
        distortion: targets -> what the loss makes of probabilities.
        three_way: whether the classifier has labels with an uncertain class, of which these targets
            may hold no entry: all that are known may be held out.
        amounts: how many rows of each part a batch holds, in proportion; None: as many of each.

    Returns:
        {layer: (K,) float64}: the dense layer's, and its neighbour's where there is an uncertain
        class, whose odds stand against the negatives' too.
    """
    amounts = [1.0] * len(targets) if amounts is None else amounts
    biases = {name: _log_odds(targets, distortion, amounts)}
    if three_way:
        against = [_against(part) for part in targets]
        biases[uncertain_name(name)] = _log_odds(against, distortion, amounts)
    return biases


def uncertain_name(name: str) -> str:
    """The output of another's uncertain classes, where it has any."""
    return f"{name}-uncertain"


def _against(targets: np.ndarray) -> np.ndarray:
    """The uncertain entries as positives, and the positives as a third class."""
    values, weights = value_and_weight(targets)
    known = (values >= 0) & (values <= 1)
    rest = np.where(known, np.where(values == 0, 0, UNCERTAIN_CLASS), MASKED)
    found = np.where(values == UNCERTAIN_CLASS, 1, rest)
    return found if targets.ndim == 2 else np.stack([found, weights], axis=-1)


def _log_odds(
    targets: Sequence[np.ndarray],
    distortion: Callable[[Sequence[np.ndarray]], Distortion | None],
    amounts: Sequence[float],
) -> np.ndarray:
    split = [value_and_weight(part) for part in targets]
    weighed = [(y, np.where((y >= 0) & (y <= 1), w, 0)) for y, w in split]
    half = 0.5 / max(map(len, targets))
    shares = []
    for values in (
        [np.where(w > 0, y, 0) * w for y, w in weighed],
        [np.where(w > 0, 1 - y, 0) * w for y, w in weighed],
    ):
        means = [value.mean(axis=0, dtype=np.float64) for value in values]
        share = sum(amount * mean for amount, mean in zip(amounts, means, strict=True))
        shares.append(np.where(share > 0, share, half))
    found, odds = distortion(targets), np.log(shares[0] / shares[1])
    if isinstance(found, Factor):
        return np.log(found.w) + odds
    return odds if found is None else log_odds(found.distort(expit(odds)))
