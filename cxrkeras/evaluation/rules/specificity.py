"""The lowest threshold that keeps a specificity, e.g. `specificity=0.9`."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from cxrkeras.evaluation.rules import FittedRule
from cxrkeras.registry import option


class Part(FittedRule):
    """The lowest threshold whose specificity is at least `at`."""

    main: ClassVar[str] = "at"
    example: ClassVar[Mapping[str, Any]] = {"at": 0.9}

    at: float = option(..., "The specificity to keep.", gt=0, le=1)

    def threshold(self, curve):
        """See `FittedRule`."""
        return curve.after(int(np.flatnonzero(curve.specificity >= self.at)[-1]))

    def origin(self):
        """See `FittedRule`."""
        return f"specificity {self.at:g}"
