"""Label codes (1, 0, -1 uncertain, blank) become training targets by a policy."""

from collections.abc import Callable, Sequence

import numpy as np

from data_prep.errors import UserError

MASKED = -1.0
"""A target entry that no loss and no metric counts. Any negative target is read so."""

Fill = Callable[[np.ndarray], "np.ndarray | float"]
"""Given the codes (N,) of one label, the targets (N,) or one target for its uncertain entries."""


def _constant(value: float) -> Fill:
    return lambda codes: value


UNCERTAIN: dict[str, Fill] = {
    "ignore": _constant(MASKED),
    "zeros": _constant(0.0),
    "ones": _constant(1.0),
}
"""CheXpert's U-Ignore, U-Zeros and U-Ones (Irvin et al. 2019); a further policy is one entry."""

BLANK: dict[str, float] = {"zeros": 0.0, "ignore": MASKED}


def targets_from_codes(
    codes: np.ndarray, *, uncertain: str | Sequence[str] = "ones", blank: str = "zeros"
) -> np.ndarray:
    """Targets for training; the codes 0 and 1 are never altered.

    Args:
        codes: (N, K) float with 1 present, 0 absent, -1 uncertain, NaN not mentioned.
        uncertain: a name of `UNCERTAIN` for all labels, or K names, one per label.
        blank: a name of `BLANK`, what "not mentioned" means.

    Returns:
        (N, K) float32 with values in [0, 1], or `MASKED`.

    Raises:
        UserError: a policy that does not exist, not one per label, or a code that is none.
    """
    codes = np.asarray(codes, np.float32)
    policies = [uncertain] * codes.shape[1] if isinstance(uncertain, str) else list(uncertain)
    if len(policies) != codes.shape[1]:
        raise UserError(
            f"uncertain labels need one policy, or one per label: got {len(policies)} for "
            f"{codes.shape[1]} labels"
        )
    fills = [_named(UNCERTAIN, policy, "uncertain") for policy in policies]
    targets = np.where(np.isnan(codes), _named(BLANK, blank, "blank"), codes).astype(np.float32)
    _refuse_unknown(codes)
    for label, fill in enumerate(fills):
        column = codes[:, label]
        targets[:, label] = np.where(column == -1, fill(column), targets[:, label])
    return targets


def _named(table: dict, name: str, kind: str):
    if name not in table:
        raise UserError(f"{kind} labels: no policy {name!r}; choose one of {', '.join(table)}")
    return table[name]


def _refuse_unknown(codes: np.ndarray) -> None:
    known = np.isnan(codes) | np.isin(codes, (-1, 0, 1))
    if not known.all():
        values = ", ".join(f"{value:g}" for value in np.unique(codes[~known])[:5])
        raise UserError(f"label codes are 1, 0, -1 or blank: found {values}; mend the label table")
