"""A target drawn from a range whose ends are options."""

from typing import Any

from pydantic import model_validator

from cxrkeras.data.labels.policies import Policy
from cxrkeras.registry import option


def lowest(default: float) -> Any:
    """The option `low`."""
    return option(default, "Lowest target that may be drawn.", ge=0, le=1)


def highest(default: float) -> Any:
    """The option `high`."""
    return option(default, "Highest target that may be drawn.", ge=0, le=1)


class Smoothed(Policy):
    """The target is drawn from U(low, high); each part sets the default range."""

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
