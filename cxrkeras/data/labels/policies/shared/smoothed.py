"""A target that is drawn from a range, whose ends are options."""

from typing import Any

from pydantic import model_validator

from cxrkeras.data.labels.policies import Policy
from cxrkeras.registry import option


def lowest(default: float) -> Any:
    """The option `low`."""
    return option(default, "Lowest target that is drawn.", ge=0, le=1)


def highest(default: float) -> Any:
    """The option `high`."""
    return option(default, "Highest target that is drawn.", ge=0, le=1)


class Smoothed(Policy):
    """Drawn from U(low, high); a part says where the range lies by default."""

    low: float = lowest(0.0)
    high: float = highest(1.0)

    @model_validator(mode="after")
    def _in_order(self) -> "Smoothed":
        if self.low > self.high:
            raise ValueError("low must not be above high")
        return self

    def ends(self) -> tuple[float, float]:
        """Both options."""
        return self.low, self.high
