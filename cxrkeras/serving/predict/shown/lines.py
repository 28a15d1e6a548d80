"""An answer as text for a terminal: a few films label by label, many as a table."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from cxrkeras.evaluation.scores.abstention import WITHHELD
from cxrkeras.evaluation.scores.operating import thresholds_of
from cxrkeras.serving.predict import warned
from cxrkeras.serving.predict.answers import NOTICE
from cxrkeras.serving.predict.predict import Answer
from cxrkeras.serving.predict.reached import Reached, reached
from cxrkeras.serving.predict.shown.places import Places
from cxrkeras.serving.predict.shown.surprise import Surprise

FULL = 3  # so many films are told label by label; of more, what is positive
_MOST = 30  # films that are listed
_MANY = 100  # positives
_DECISIONS = {1.0: "yes", 0.0: "no"}
_LEAST = 24  # characters for labels, however narrow the terminal


def as_lines(answer: Answer, width: int | None = None) -> Iterator[str]:
    """As text: the labels of each film, the most surprising first, and where each label's threshold
    comes from.

    Args:
        answer: of a model.
        width: characters of a line of the films' table; None for any.
    """
    readable, places = answer.readable, Places([row.path for row in answer.rows])
    surprise = Surprise(answer)
    full = len(readable) <= FULL
    yield from places.said()
    if full:
        for number in readable:
            yield from (places.names[number], *_film_table(answer, surprise, number), "")
    else:
        yield from (*_films_table(answer, surprise, places, width), "", *_label_table(answer), "")
    if readable:
        yield from _legend(answer, surprise, places, full)
    yield from _refused(answer, places)
    yield NOTICE


def _film_table(answer: Answer, surprise: Surprise, number: int) -> list[str]:
    """One film, label by label."""
    order = surprise.order(number)
    columns = {"label": list(answer.card.labels)}
    columns[answer.card.figure] = _figures(answer.adjusted[number])
    if answer.calibrated is not None:
        columns["calibrated"] = _figures(answer.calibrated[number])
    columns["prevalence"] = _prevalence(answer)
    if surprise.is_ratio:
        columns["odds ratio"] = surprise.words(number)
    columns["threshold"] = _thresholds(answer)
    if answer.distorted:
        columns["score"] = _figures(answer.probability[number])
    columns["positive"] = _decisions(answer, number)
    columns["threshold from"] = _origins(answer)
    return _table({name: [cells[k] for k in order] for name, cells in columns.items()})


def _films_table(
    answer: Answer, surprise: Surprise, places: Places, width: int | None
) -> list[str]:
    """A row per film: how many labels are positive, and which; of many, the first."""
    readable = answer.readable[:_MOST]
    columns = {
        "film": [places.names[number] for number in readable],
        "positive": [str(int(np.nansum(answer.positive[number]))) for number in readable],
        **_of_films(answer, readable),
    }
    left = sum(max(map(len, [name, *cells])) + 2 for name, cells in columns.items()) + 2
    room = None if width is None else max(_LEAST, width - left)
    columns["positive labels"] = [_positives(answer, surprise, n, room) for n in readable]
    more = len(answer.readable) - len(readable)
    rest = f"  and {more:,} more: --out FILE.csv keeps them all"
    return [*_table(columns), *([rest] if more else [])]


def _of_films(answer: Answer, films: np.ndarray) -> dict[str, list[str]]:
    """Further columns of that table, {name: a cell for each of these films}."""
    far, columns = answer.unlike[films], {}
    if answer.withheld is not None:
        columns[WITHHELD] = [str(n) for n in answer.withheld[films].sum(axis=1)]
    return columns if np.isnan(far).all() else columns | {"unlike": _figures(far)}


def _positives(answer: Answer, surprise: Surprise, number: int, room: int | None) -> str:
    """`Effusion 0.181 (x3.2), Mass 0.121 (x2.1) and 2 more`."""
    shown = answer.adjusted if answer.calibrated is None else answer.calibrated
    words = surprise.words(number)
    found = [
        f"{answer.card.labels[k]} {_figures([shown[number, k]])[0]}"
        + f" ({words[k]})" * surprise.is_ratio
        for k in surprise.order(number)
        if answer.positive[number, k] == 1
    ]
    kept = len(found)
    while kept > 1 and room is not None and len(_listed(found, kept)) > room:
        kept -= 1
    return _listed(found, kept) or "-"


def _listed(found: list[str], kept: int) -> str:
    more = f" and {len(found) - kept} more" if kept < len(found) else ""
    return ", ".join(found[:kept]) + more


def _decisions(answer: Answer, number: int) -> list[str]:
    """By label: yes, no, withheld, or - without a threshold."""
    words = [_DECISIONS.get(decision, "-") for decision in answer.positive[number]]
    if answer.withheld is None:
        return words
    return [WITHHELD if h else w for h, w in zip(answer.withheld[number], words, strict=True)]


def _label_table(answer: Answer) -> list[str]:
    """All images, label by label."""
    counts = np.nansum(answer.positive[answer.readable], axis=0).astype(int)
    columns = {
        "label": list(answer.card.labels),
        "positive": [f"{count:,} of {len(answer.readable):,}" for count in counts],
        **_held(answer),
        "prevalence": _prevalence(answer),
        "threshold": _thresholds(answer),
        **_expected(answer),
        "threshold from": _origins(answer),
    }
    return _table(columns)


def _held(answer: Answer) -> dict[str, list[str]]:
    if answer.withheld is None:
        return {}
    return {WITHHELD: [f"{count:,}" for count in answer.withheld[answer.readable].sum(axis=0)]}


def _reached(answer: Answer) -> Reached:
    return reached(answer.points, answer.card.labels, answer.card.count)


def _expected(answer: Answer) -> dict[str, list[str]]:
    """Columns with what the thresholds achieve, if that is known."""
    found = _reached(answer)
    columns = {"sensitivity": found.sensitivity, "specificity": found.specificity}
    return {name: _figures(values) for name, values in columns.items() if found.where}


def _prevalence(answer: Answer) -> list[str]:
    known = answer.card.facts["training_prevalence"]
    return _figures([known[label] for label in answer.card.labels])


def _thresholds(answer: Answer) -> list[str]:
    """On the scale of what is shown beside them."""
    return _figures(answer.card.meant(thresholds_of(answer.points, answer.card.labels)))


def _origins(answer: Answer) -> list[str]:
    return [answer.points[label]["from"] for label in answer.card.labels]


def _figures(values) -> list[str]:
    return ["-" if v is None or np.isnan(v) else f"{v:.3f}" for v in values]


def _table(columns: dict[str, list[str]]) -> list[str]:
    """Text to the left (the first column and the last), figures to the right."""
    names = list(columns)
    widths = [max(len(name), *map(len, columns[name])) for name in names]
    lines = []
    for cells in [names, *zip(*columns.values(), strict=True)]:
        *figures, last = zip(cells[1:], widths[1:], strict=True)
        middle = "  ".join(f"{cell:>{width}}" for cell, width in figures)
        lines.append(f"  {cells[0]:<{widths[0]}}  {middle}  {last[0]}")
    return lines


def _legend(answer: Answer, surprise: Surprise, places: Places, full: bool) -> Iterator[str]:
    yield surprise.sentence()
    yield from _figures_in_words(answer, full)
    rare = surprise.is_ratio and surprise.below(answer.positive == 1)
    low = " It may be low: some are less likely than in an average film (below x1)." if rare else ""
    before = ", not calibrated," if answer.calibration else ""
    yield f"positive: the {answer.card.figure}{before} is above the threshold.{low}"
    if not full and (where := _reached(answer).where):
        yield f"sensitivity, specificity: {where}"
    yield from warned.as_lines(answer, places.names)
    yield from (f"Before you believe it: {doubt}" for doubt in answer.doubts)
    counts = Counter(warning for row in answer.rows for warning in row.warnings)
    for warning, count in counts.most_common():
        rows = zip(answer.rows, places.names, strict=True)
        first = next(name for row, name in rows if warning in row.warnings)
        yield f"{first if count == 1 else f'{first} and {count - 1:,} more'}: {warning}"


def _figures_in_words(answer: Answer, full: bool) -> Iterator[str]:
    figure = answer.card.figure
    if not full:
        yield f"beside a label: the film's {'calibrated ' * bool(answer.calibration)}{figure}."
    if answer.distorted:
        taken = "the score with the loss's weighting taken out"
        yield f"probability: {taken}; compare it with the prevalence."
    if answer.calibration:
        yield f"calibrated: {_calibrated(answer)}"
    if answer.distorted or answer.card.count > 1:
        name = "score" if answer.distorted else figure
        yield f"{name}: {_combined(answer)}{_weighting(answer)}."


def _combined(answer: Answer) -> str:
    if answer.card.count <= 1:
        return "the model's own output"
    who, how = answer.card.who, answer.card.facts.get("combine", "mean")
    if how == "ranks":
        return f"not a probability, but the mean rank by {who} among their out-of-fold scores"
    return f"the mean of {who}" + (", taken over log odds" if how == "logits" else "")


def _weighting(answer: Answer) -> str:
    """What the loss did to the score, where that is a factor."""
    known = answer.card.facts.get("inflation")
    if not (answer.distorted and known):
        return ""
    factors = np.array([known[name] for name in answer.card.labels])
    alike = np.ptp(factors) < 0.05 * factors.min()
    by = f"{factors.mean():.1f}" if alike else "a factor for each label"
    return f"; the loss's weighting has multiplied its odds by {by}"


def _calibrated(answer: Answer) -> str:
    fitted = answer.card.calibration()
    few = sum(fitted[label]["positives"] < _MANY for label in answer.card.labels)
    told = f"by {answer.calibration}, fitted out of fold."
    if answer.calibration != "isotonic" or not few:
        return told
    share = f"{few} of {len(answer.card.labels)} labels have fewer than {_MANY}"
    return f"{told} It needs hundreds of positives, and {share}: temperature is the safer choice."


def _refused(answer: Answer, places: Places) -> list[str]:
    rows = zip(answer.rows, places.names, strict=True)
    lines = [f"  {name}: {row.reason}" for row, name in rows if row.reason]
    return [f"Not read: {len(lines):,} of {len(answer.rows):,}", *lines] if lines else []
