"""When an answer should not be leant on: films unlike the training films, decisions withheld."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cxrkeras.models.familiar import FILE
from cxrkeras.models.familiar.films import counted, load_familiar
from data_prep.errors import UserError
from data_prep.filenames import printable

if TYPE_CHECKING:
    from cxrkeras.evaluation.rules import Rule
    from cxrkeras.serving.predict.predict import Answer
    from cxrkeras.serving.predictor.card import Card

_TOLD = 3  # flagged films that are named


def films_behind(card: "Card") -> int:
    """The number of out-of-fold films with which a film is compared; 0 where nobody noted it."""
    found = (load_familiar(leaf.home, leaf.file) for leaf in card.leaves if card.kind)
    return counted((one.whose, len(one.held_out)) for one in found if one)


def in_words(unlike: float, limit: float) -> str:
    """How unlike the training films one film is; "" where that isn't known.

    Args:
        unlike: `Row.unlike`, or `Answer.unlike` of a film.
        limit: from which it is flagged.
    """
    if np.isnan(unlike):
        return ""
    told = f"{unlike:.1%} of the out-of-fold films are more like the training films"
    return f"Unlike the training films: {told}." if unlike >= limit else f"{told.capitalize()}."


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


def as_facts(answer: "Answer") -> dict:
    """What JSON says of the model: by what films are flagged, and where decisions are withheld."""
    films = films_behind(answer.card)
    known = {"limit": answer.limit, "films": films, "flagged": int(answer.flagged.sum())}
    return {"unlike": known if films else None, "abstention": answer.abstention}


def as_lines(answer: "Answer") -> Iterator[str]:
    """What the terminal says beside the table."""
    yield from _unlike(answer)
    if answer.abstention is not None:
        yield from _withheld(answer)


def _unlike(answer: "Answer") -> Iterator[str]:
    films = films_behind(answer.card)
    if not films:
        yield (
            "unlike the training films: not known, since nobody noted which films this model knows "
            f"(no {FILE} beside it: an earlier version, a server, or a kind without features)."
        )
        return
    flagged = [row for row, unlike in zip(answer.rows, answer.flagged, strict=True) if unlike]
    many = f"at least {answer.limit:.1%} of the {films:,} out-of-fold films lie nearer"
    if films / (films + 1) < answer.limit:
        yield (
            f"unlike the training films: none can be flagged, since there are only {films:,} "
            f"out-of-fold films to compare with; a limit of {answer.limit:g} takes "
            f"{round(answer.limit / (1 - answer.limit)):,}."
        )
        return
    named = ", ".join(printable(row.path) for row in flagged[:_TOLD])
    more = f" and {len(flagged) - _TOLD:,} more" if len(flagged) > _TOLD else ""
    who = f": {named}{more}. Their answers mean little." if flagged else "."
    readable = len(answer.readable)
    yield f"unlike the training films ({many}): {len(flagged):,} of {readable:,}{who}"


def _withheld(answer: "Answer") -> Iterator[str]:
    yield (
        f"withheld: no decision on the {answer.abstain:.0%} of films nearest to each threshold, as "
        "found out of fold. Decided upon there, and reached among these:"
    )
    for label in answer.card.labels:
        found = answer.abstention[label]
        if found is None:
            yield f"  {label}: nothing is withheld; there is no threshold to be near to."
            continue
        reached = ", ".join(
            f"{name} {_share(found[name])}" for name in ("sensitivity", "specificity")
        )
        band = f"scores from {found['low']:.3f} to {found['high']:.3f} withheld"
        yield f"  {label}: {found['coverage']:.1%} decided, {reached}; {band}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
