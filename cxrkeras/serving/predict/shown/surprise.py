"""How surprising a score is: against what was to be expected of any film."""

import numpy as np

from cxrkeras.serving.predict.predict import Answer

_SURE = 1e-6  # a probability or prevalence nearer to 0 or 1 counts as this


class Surprise:
    """The odds of a film's probability over those of the label's prevalence in training.

    The probability is the adjusted one, or calibrated, where asked for. Mean ranks are
    no probabilities, but are in order by themselves: what others score is in them already.

    Attributes:
        is_ratio: whether there are such ratios.
    """

    def __init__(self, answer: Answer):
        self._answer = answer
        self.is_ratio = answer.card.facts.get("combine") != "ranks"
        scores = answer.adjusted if answer.calibrated is None else answer.calibrated
        known = answer.card.facts["training_prevalence"]
        prevalence = np.array([known[label] for label in answer.card.labels], np.float64)
        self._values = _log_odds(scores) - _log_odds(prevalence) if self.is_ratio else scores

    def order(self, number: int) -> list[int]:
        """The labels of a film, the most surprising first; those of which it isn't known last."""
        return np.argsort(-self._values[number], kind="stable").tolist()

    def words(self, number: int) -> list[str]:
        """`x3.2` by label; - where it isn't known."""
        return [_factor(value) for value in np.exp(self._values[number])]

    def below(self, which: np.ndarray) -> bool:
        """Whether one of these, (N, K) bool, is less likely than the prevalence says."""
        return bool((self._values[which] < 0).any())

    def sentence(self) -> str:
        """What the order goes by."""
        if not self.is_ratio:
            return "Labels in order of their score, a mean rank; the highest come first."
        calibrated = self._answer.calibrated is not None
        name = "calibrated probability" if calibrated else self._answer.card.figure
        return (
            f"Labels in order of surprise: odds ratio of the {name} against the prevalence (x2: "
            "twice the odds of any film)."
        )


def _log_odds(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, _SURE, 1 - _SURE)
    return np.log(p) - np.log1p(-p)


def _factor(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"x{value:.0f}" if value >= 10 else f"x{value:.2g}"
