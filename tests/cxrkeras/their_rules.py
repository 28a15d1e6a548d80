"""Two threshold rules of somebody else's package."""

from pathlib import Path

from cxrkeras.registry import RULES
from tests.other_package import install

FALLING = '''"""The score where a missed finding costs as much as its false alarms.

Source: Somebody, 2026.
"""

from cxrkeras.evaluation.rules import FittedRule
from cxrkeras.registry import option


class Part(FittedRule):
    main = "miss"
    miss: float = option(2.0, "Cost of a missed finding, in false alarms.", gt=0)

    def threshold(self, curve):
        missed = (1 - curve.sensitivity) * curve.y.sum() * self.miss
        return curve.after(int((missed + curve.false_positive_rate * (~curve.y).sum()).argmin()))

    def origin(self):
        return f"a miss at {self.miss:g}"
'''
TIMES = '''"""Score above some multiple of the prevalence."""

from cxrkeras.evaluation.rules import PrevalenceRule
from cxrkeras.registry import option


class Part(PrevalenceRule):
    factor: float = option(2.0, "The multiple.", gt=0)

    def threshold(self, prevalence, distort):
        return distort(prevalence * self.factor)

    def origin(self):
        return f"{self.factor:g} times the training prevalence"
'''


def install_rules(folder: Path, monkeypatch) -> None:
    """Make the rules `cost` and `times` known for one test."""
    parts = {"cxrkeras.evaluation.rules/cost": FALLING, "cxrkeras.evaluation.rules/times": TIMES}
    monkeypatch.syspath_prepend(str(install(folder, parts, "their_rules")))
    monkeypatch.delitem(RULES.__dict__, "_places", raising=False)
