"""What the model says of the films that are shown, as HTML: nothing is told by colour alone."""

from collections.abc import Sequence
from html import escape

from cxrkeras.serving.app.desk import Pane
from cxrkeras.serving.app.judge import Finding, Judge
from cxrkeras.serving.app.picture import nearly_flat
from cxrkeras.serving.explain.overlay import shown
from cxrkeras.serving.predict.caution import UNLIKE

DECISIONS = {True: "positive", False: "negative", None: "no operating point"}
_SHORT = {"sensitivity": "sens.", "specificity": "spec."}


def film_name(pane: Pane) -> str:
    """How people know a film: its number, and its view where the file says it."""
    return f"Film {pane.number}" + (f" ({pane.seen.view})" if pane.seen.view else "")


def notes(pane: Pane) -> str:
    """What is to be said of a film, as a list; "" for nothing."""
    told = "".join(f"<li>{escape(note)}</li>" for note in pane.seen.warnings)
    return f'<ul class="cx-notes">{told}</ul>' if told else ""


def map_words(heat, finding: Finding, peak_inside: bool, unit: str) -> str:
    """What a map is of, its scale, its own grid, and how little it may mean."""
    head = f"{escape(finding.label)} {shown(finding.meant)}, {DECISIONS[finding.positive]}"
    rows, columns = heat.shape
    told = f"map of {rows} x {columns} cells"
    if nearly_flat(heat, unit):
        told += "; nearly flat: its colours mean next to nothing"
    if not peak_inside:
        told += "; highest outside the field of view"
    return (
        f"<span>{head}</span>"
        f'<span class="cx-scale"><span>{heat.min():+.3g}</span><i aria-hidden="true"></i>'
        f"<span>{heat.max():+.3g} {escape(unit)}</span></span><span>{told}</span>"
    )


def answers(panes: Sequence[Pane], judge: Judge) -> str:
    """Probabilities, or scores, against operating points, of one film or two beside each other.

    Args:
        panes: the film, and perhaps the one beside it.
        judge: who says so.
    """
    two = len(panes) == 2
    heads = ["Label", *map(film_name, panes)] if two else ["Label", judge.figure, "Decision"]
    if two:
        heads.append("{} − {}".format(*(pane.number for pane in panes)))
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in heads)
    rows = "".join(_row(panes, k, judge) for k in range(len(judge.labels)))
    sums = "".join(f"<p>{_sentence(pane, judge)}</p>" for pane in panes)
    maps = "" if judge.no_maps else _choice("", "No heat map", "cx-film-only")
    return (
        '<h2 id="cx-answers-title">Answers</h2>'
        f'<div class="cx-sums">{sums}{_caution(judge)}</div>{maps}'
        f'<table class="cx-table{" cx-two" if two else ""}" aria-labelledby="cx-answers-title">'
        f"<thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>{_legend(panes, judge)}"
    )


def _choice(value: object, name: str, kind: str = "") -> str:
    """A label that is chosen to see its map: a radio button, so that arrow keys go on."""
    return (
        f'<label class="cx-choice {kind}"><input type="radio" name="cx-label" value="{value}">'
        f"<span>{escape(name)}</span></label>"
    )


def _caution(judge: Judge) -> str:
    """What positive doesn't mean."""
    known = judge.figure == "Probability"
    how = "see the prevalence" if known else "a score isn't a probability"
    point = f"above the operating point ({escape(judge.rule)})"
    return f'<p class="cx-aside">Positive means {point}, not likely: {how}.</p>'


def _sentence(pane: Pane, judge: Judge) -> str:
    """The positive labels, the furthest above its operating point first; then what to beware of."""
    positive = (f for f in pane.findings if f.positive)
    found = sorted(positive, key=lambda f: f.bound - f.meant)
    names = ", ".join(f"<b>{escape(f.label)}</b> {shown(f.meant)}" for f in found)
    told = f"positive for {names}." if found else "nothing positive."
    usual = [escape(f.label) for f in found if f.meant <= (f.prevalence or 0)]
    if usual and judge.figure == "Probability":
        told += f" Positive, yet below the prevalence: {', '.join(usual)}."
    kind = "cx-doubt" if pane.unlike.startswith(UNLIKE) else "cx-aside"
    far = f' <span class="{kind}">{escape(pane.unlike)}</span>' if pane.unlike else ""
    return f"{escape(film_name(pane))}: {told}{far}"


def _row(panes: Sequence[Pane], k: int, judge: Judge) -> str:
    first = panes[0].findings[k]
    two = len(panes) == 2
    name = escape(first.label) if judge.no_maps else _choice(k, first.label)
    about = _point(first) + _beware(first) if two else ""
    if not two and first.prevalence is not None:
        about = f"prevalence {shown(first.prevalence)}"
    small = f"<small>{about}</small>" if about else ""
    if two:
        cells = "".join(
            f'<td class="cx-cell{_shade(pane.findings[k])}" data-head="{escape(film_name(pane))}">'
            f"{_number(pane.findings[k])} {_decision(pane.findings[k])}"
            f"{_track(pane.findings[k])}</td>"
            for pane in panes
        )
        change = first.meant - panes[1].findings[k].meant
        told = f"{change:+.3f}".replace("-", "−")
        cells += f'<td class="cx-change" data-head="Change">{told}</td>'
    else:
        cells = (
            f'<td class="cx-cell{_shade(first)}">{_probability(first)}{_track(first)}</td>'
            f'<td class="cx-cell{_shade(first)}">{_decision(first)}{_beware(first)}'
            f"<small>{_point(first)}</small></td>"
        )
    return f'<tr><th scope="row">{name}{small}</th>{cells}</tr>'


def _point(finding: Finding) -> str:
    """The operating point, and what it reaches."""
    if finding.threshold is None:
        return ""
    told = [f"above {shown(finding.bound)}"]
    for name, short in _SHORT.items():
        value = getattr(finding, name)
        told += [] if value is None else [f'<abbr title="{name}">{short}</abbr> {value:.2f}']
    return " · ".join(told)


def _shade(finding: Finding) -> str:
    return " cx-positive" if finding.positive else ""


def _number(finding: Finding) -> str:
    return f'<span class="cx-number">{shown(finding.meant)}</span>'


def _probability(finding: Finding) -> str:
    if finding.adjusted is None:
        return _number(finding)
    return f'{_number(finding)} <small class="cx-aside">score {shown(finding.probability)}</small>'


def _decision(finding: Finding) -> str:
    return f'<span class="cx-decision">{DECISIONS[finding.positive]}</span>'


def _beware(finding: Finding) -> str:
    return ' <b class="cx-doubt">beware</b>' if finding.doubt else ""


def _track(finding: Finding) -> str:
    mark = ""
    if finding.bound is not None:
        mark = f'<b style="left:{_percent(finding.bound)}"></b>'
    wide = _percent(finding.meant)
    return f'<span class="cx-track" aria-hidden="true"><i style="width:{wide}"></i>{mark}</span>'


def _percent(share: float) -> str:
    return f"{100 * min(max(share, 0), 1):.1f}%"


def _legend(panes: Sequence[Pane], judge: Judge) -> str:
    """Below the table: doubts by label, where the points come from, what words mean."""
    findings = panes[0].findings
    doubts = "".join(
        f'<li class="cx-doubt">Beware of {escape(f.label)}: {escape(f.doubt)}.</li>'
        for f in findings
        if f.doubt
    )
    lines = [
        f"The upright mark on a bar is the operating point ({escape(judge.rule)}); a label is "
        f"positive if its {judge.figure.lower()} is above it."
    ]
    origins = dict.fromkeys(f.origin for f in findings if f.threshold is not None)
    for origin in origins:
        whose = [f.label for f in findings if f.threshold is not None and f.origin == origin]
        of = "" if len(origins) == 1 else f" of {escape(', '.join(whose))}"
        lines.append(f"Operating point{of} from: {escape(origin)}.")
    if judge.reached:
        lines.append(f"Sensitivity (sens.) and specificity (spec.) {escape(judge.reached)}")
    else:
        lines.append("Sensitivity and specificity of the operating points aren't known here.")
    told = "".join(f"<li>{line}</li>" for line in lines)
    return f'<ul class="cx-legend">{doubts}{told}</ul>'
