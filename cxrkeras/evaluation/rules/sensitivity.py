"""The highest threshold that reaches a sensitivity, e.g. `sensitivity=0.95`."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from cxrkeras.evaluation.rules import FittedRule
from cxrkeras.registry import option


class Part(FittedRule):
    """The highest threshold whose sensitivity is at least `at`."""

    main: ClassVar[str] = "at"
    example: ClassVar[Mapping[str, Any]] = {"at": 0.9}

    at: float = option(..., "The sensitivity to reach.", gt=0, le=1)

    def threshold(self, curve):
        """See `FittedRule`."""
        return curve.after(int(np.argmax(curve.sensitivity >= self.at)))

    def origin(self):
        """See `FittedRule`."""
        return f"sensitivity {self.at:g}"
