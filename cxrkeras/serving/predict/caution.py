"""When an answer should not be leant on: films unlike the training films, decisions withheld."""

from typing import TYPE_CHECKING

import numpy as np

from cxrkeras.models.familiar.films import counted, load_familiar
from data_prep.errors import UserError

if TYPE_CHECKING:
    from cxrkeras.evaluation.rules import Rule
    from cxrkeras.serving.predictor.card import Card

UNLIKE = "Unlike the training films"
"""What a flagged film's words begin with."""


def films_behind(card: "Card") -> int:
    """The number of out-of-fold films with which a film is compared; 0 where nobody noted it."""
    found = (load_familiar(leaf.home, leaf.file) for leaf in card.leaves if card.kind)
    return counted(one for one in found if one)


def check_limit(limit: float) -> None:
    """Raise UserError where a limit would flag every film, or none."""
    if not 0 < limit < 1:
        raise UserError(f"--flag-unlike is a share of films between 0 and 1. Received: {limit}.")


def in_words(unlike: float, limit: float) -> str:
    """How unlike the training films one film is; "" where that isn't known.

    Args:
        unlike: `Row.unlike`, or `Answer.unlike` of a film.
        limit: from which it is flagged.
    """
    if np.isnan(unlike):
        return ""
    told = f"{unlike:.1%} of the out-of-fold films are more like the training films"
    return f"{UNLIKE}: {told}." if unlike >= limit else f"{told}."


def abstention(card: "Card", rule: "Rule", share: float) -> dict:
    """{label: what `fit_abstention` gives} for a model.

    Raises:
        UserError: the share isn't in (0, 1), or it isn't a run, whose out-of-fold predictions say
            where to withhold.
    """
    if not 0 < share < 1:
        raise UserError(f"--abstain is a share of films between 0 and 1. Received: {share}.")
    if card.run is None:
        raise UserError(
            f"--abstain is fitted on a run's out-of-fold predictions, which {card.path} doesn't "
            "have. Give the run folder, or leave --abstain out."
        )
    from cxrkeras.evaluation.evidence.abstaining import abstention_of_run

    return abstention_of_run(card.run, rule, card.operating_points(rule), share)
