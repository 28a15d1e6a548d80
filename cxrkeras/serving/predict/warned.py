"""What an answer says of films unlike the training films, and of decisions withheld."""

from collections.abc import Iterator, Sequence

import numpy as np

from cxrkeras.models.familiar import FILE
from cxrkeras.serving.predict.caution import films_behind
from cxrkeras.serving.predict.predict import Answer

_TOLD = 3  # flagged films that are named


def as_facts(answer: Answer) -> dict:
    """What JSON says of the model: by what films are flagged, and where decisions are withheld."""
    films = films_behind(answer.card)
    known = {"limit": answer.limit, "films": films, "flagged": int(answer.flagged.sum())}
    return {"unlike": known if films else None, "abstention": answer.abstention}


def as_lines(answer: Answer, names: Sequence[str]) -> Iterator[str]:
    """What the terminal says beside the table.

    Args:
        answer: of a model.
        names: of the rows' files.
    """
    yield from _unlike(answer, names)
    if answer.abstention is not None:
        yield from _withheld(answer)


def _unlike(answer: Answer, names: Sequence[str]) -> Iterator[str]:
    films = films_behind(answer.card)
    if not films:
        yield (
            "unlike the training films: not known, since nobody noted which films this model knows "
            f"(no {FILE} beside it: an earlier version, a server, or a kind without features)."
        )
        return
    flagged = [name for name, unlike in zip(names, answer.flagged, strict=True) if unlike]
    many = f"at least {answer.limit:.1%} of the {films:,} out-of-fold films lie nearer"
    if films / (films + 1) < answer.limit:
        yield (
            f"unlike the training films: none can be flagged, since there are only {films:,} "
            f"out-of-fold films to compare with; a limit of {answer.limit:g} takes "
            f"{_least(answer.limit):,}."
        )
        return
    named = ", ".join(flagged[:_TOLD])
    more = f" and {len(flagged) - _TOLD:,} more" if len(flagged) > _TOLD else ""
    who = f": {named}{more}. Their answers mean little." if flagged else "."
    readable = len(answer.readable)
    yield f"unlike the training films ({many}): {len(flagged):,} of {readable:,}{who}"


def _withheld(answer: Answer) -> Iterator[str]:
    yield (
        f"withheld: no decision on the {100 * answer.abstain:.3g}% of films nearest to each "
        "threshold, as found out of fold. Decided upon there, and reached among these:"
    )
    bands = _bands(answer)
    for label in answer.card.labels:
        found = answer.abstention[label]
        if found is None:
            yield f"  {label}: nothing is withheld; there is no threshold to be near to."
            continue
        reached = ", ".join(
            f"{name} {_share(found[name])}" for name in ("sensitivity", "specificity")
        )
        band = f"{answer.card.figure} from {bands[label]} withheld"
        yield f"  {label}: {found['coverage']:.1%} decided, {reached}; {band}"


def _bands(answer: Answer) -> dict[str, str]:
    """By label between which figures, as they are shown, nothing is decided."""
    found = [answer.abstention[label] or {} for label in answer.card.labels]
    ends = [[one.get(end, np.nan) for one in found] for end in ("low", "high")]
    pairs = zip(*answer.card.meant(np.array(ends)), strict=True)
    told = (f"{low:.3f} to {high:.3f}" for low, high in pairs)
    return dict(zip(answer.card.labels, told, strict=True))


def _least(limit: float) -> int:
    """The fewest films n with n / (n + 1) at the limit, see `unlike`."""
    films = int(limit / (1 - limit))
    return films if films / (films + 1) >= limit else films + 1


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
