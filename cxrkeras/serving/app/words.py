"""The page's text and tables as HTML: nothing is told by colour alone."""

from collections.abc import Sequence
from html import escape

from cxrkeras.serving.app.judge import Finding
from cxrkeras.serving.app.picture import Window
from cxrkeras.serving.app.terms import Terms
from cxrkeras.serving.explain.overlay import WARNING, shown

DECISIONS = {True: "positive", False: "negative", None: "no operating point"}


def header(name: str, about: Sequence[str], no_maps: str) -> str:
    """The bar that stays in sight, the title, what is known of the model."""
    lines = list(about)
    if no_maps:
        lines.append(f"No heat maps: {no_maps}")
    told = " ".join(escape(line) for line in lines)
    return (
        f'<header class="cx-head"><p class="cx-eyebrow">{escape(name)}</p>'
        "<h1>What the model sees in a chest radiograph</h1>"
        f'<p class="cx-lede">{told}</p></header>'
    )


def bar() -> str:
    """Always in sight."""
    return (
        '<div class="cx-bar"><span class="cx-brand">cxrkeras</span>'
        f'<strong class="cx-caution">{WARNING}</strong></div>'
    )


def drop(slot: str, invitation: str, limit_mb: float) -> str:
    """Where a file is dropped or chosen; a label of its input, so that keyboards reach it."""
    return (
        f'<div class="cx-drop"><label for="cx-file-{slot}"><strong>{invitation}</strong>'
        "<span>Drop a DICOM, PNG or JPEG file here, or <u>choose one</u>. "
        f"At most {limit_mb:g} MB.</span></label>"
        f'<input type="file" id="cx-file-{slot}" aria-describedby="cx-status-{slot}"></div>'
        f'<p class="cx-status" id="cx-status-{slot}" role="status"></p>'
    )


def message(text: str, number: int, *, bad: bool) -> str:
    """One line on the last upload. `number` makes each one new, so that it is read out again."""
    kind, role = ("cx-bad", "alert") if bad else ("cx-good", "status")
    return f'<p class="cx-message {kind}" role="{role}" data-n="{number}">{escape(text)}</p>'


def forgotten() -> str:
    """In the place of a film that isn't held any more."""
    told = (
        "This film has been forgotten: it was unused for an hour, too many visitors came after "
        "it, or the page was restarted. Send it again."
    )
    return f'<p class="cx-message cx-bad" role="alert">{told}</p>'


def figure(
    slot: str, url: str, window: Window, mapped: Finding | None, notes: Sequence[str], scale: str
) -> str:
    """The film; its alternative text says what is shown. `mapped`: whose map lies over it."""
    over = f" Heat map of {mapped.label} over it." if mapped else ""
    alt = (
        f"Film {slot}, window level {window.level:g} %, width {window.width:g} %.{over} {WARNING}."
    )
    told = "".join(f"<li>{escape(note)}</li>" for note in notes)
    notes_list = f'<ul class="cx-notes">{told}</ul>' if told else ""
    caption = f"Film {slot}"
    if mapped:
        caption += f" · {escape(mapped.label)} {shown(mapped.probability)}, "
        caption += DECISIONS[mapped.positive]
    return (
        f'<figure class="cx-film"><img src="{url}" alt="{escape(alt)}">'
        f"<figcaption><span>{caption}</span>{scale}</figcaption>{notes_list}</figure>"
    )


def scale(low: float, high: float, unit: str) -> str:
    """The colours of a map and the values at their ends."""
    return (
        f'<span class="cx-scale"><span>{low:+.2g}</span><i aria-hidden="true"></i>'
        f"<span>{high:+.2g} {escape(unit)}</span></span>"
    )


def results(films: Sequence[tuple[str, Sequence[Finding]]], rule: str) -> str:
    """Probabilities against operating points, for one film or two beside each other."""
    if not films:
        return ""
    two = len(films) == 2
    heads = "".join(f'<th scope="col" role="columnheader">Film {slot}</th>' for slot, _ in films)
    if two:
        heads += '<th scope="col" role="columnheader" class="cx-right">B − A</th>'
    rows = "".join(_row(films, k) for k in range(len(films[0][1])))
    sums = "".join(f"<p>{_sentence(slot, findings)}</p>" for slot, findings in films)
    return (
        '<section class="cx-results" aria-labelledby="cx-results-title">'
        '<h2 id="cx-results-title">Probabilities against operating points</h2>'
        f'<div role="status">{sums}</div>'
        f'<table class="cx-table{" cx-two" if two else ""}" role="table">'
        f"<caption>The upright mark on a bar is the operating point ({escape(rule)}). A label is "
        "positive if its probability is above it.</caption>"
        f'<thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">Label</th>'
        f'{heads}</tr></thead><tbody role="rowgroup">{rows}</tbody></table></section>'
    )


def _sentence(slot: str, findings: Sequence[Finding]) -> str:
    """The positive labels, the furthest above its operating point first."""
    found = sorted((f for f in findings if f.positive), key=lambda f: f.threshold - f.probability)
    names = ", ".join(f"<b>{escape(f.label)}</b> {shown(f.probability)}" for f in found)
    return f"Film {slot}: " + (f"positive for {names}." if found else "nothing positive.")


def _row(films: Sequence[tuple[str, Sequence[Finding]]], k: int) -> str:
    first = films[0][1][k]
    about = [f"operating point {_figure(first.threshold)}"]
    if first.prevalence is not None:
        about.append(f"prevalence {_figure(first.prevalence)}")
    origin = f"<small>{escape(first.origin)}</small>" if first.threshold is not None else ""
    if first.doubt:
        origin += f'<small class="cx-doubt">Beware: {escape(first.doubt)}</small>'
    cells = "".join(_cell(slot, findings[k]) for slot, findings in films)
    if len(films) == 2:
        change = films[1][1][k].probability - first.probability
        cells += (
            '<td role="cell" class="cx-change" data-head="B − A">'
            f"{f'{change:+.3f}'.replace('-', '−')}</td>"
        )
    return (
        f'<tr role="row"><th scope="row" role="rowheader">{escape(first.label)}'
        f"<small>{' · '.join(about)}</small>{origin}</th>{cells}</tr>"
    )


def _cell(slot: str, finding: Finding) -> str:
    mark = ""
    if finding.threshold is not None:
        mark = f'<b style="left:{_percent(finding.threshold)}"></b>'
    shade = " cx-positive" if finding.positive else ""
    wide = _percent(finding.probability)
    aside = ""
    if finding.adjusted is not None:
        aside = f"<small>{_figure(finding.adjusted)} adjusted</small>"
    return (
        f'<td role="cell" class="cx-cell{shade}" data-head="Film {slot}">'
        f'<span class="cx-number">{_figure(finding.probability)}</span>'
        f'<span class="cx-decision">{DECISIONS[finding.positive]}</span>'
        f'<span class="cx-track" aria-hidden="true"><i style="width:{wide}"></i>{mark}</span>'
        f"{aside}</td>"
    )


def _percent(share: float) -> str:
    return f"{100 * min(max(share, 0), 1):.1f}%"


def _figure(value: float | None) -> str:
    return "–" if value is None else shown(value)


def downloads(key: str) -> str:
    """Links to what is made when they are followed, and kept nowhere."""
    links = "".join(
        f'<a class="cx-link" href="sheet/{key}/cxrkeras.{kind}" download="cxrkeras.{kind}">'
        f"{words}</a>"
        for kind, words in (("pdf", "Sheet as PDF"), ("png", "Sheet as PNG"), ("json", "JSON"))
    )
    return (
        f'<nav class="cx-downloads" aria-label="Downloads"><h2>Save the results</h2>{links}</nav>'
    )


def footer(terms: Terms, adjusted: bool, maps: bool) -> str:
    """What is checked, what is kept, what the figures mean."""
    kinds = {
        "another body part": terms.admission.any_body_part,
        "another modality than radiography": terms.admission.any_modality,
    }
    refused = " or ".join(kind for kind, taken in kinds.items() if not taken)
    chest = f" A DICOM file that names {refused} is refused." if refused else ""
    loss = (
        "<p>“Adjusted” is the probability with what the loss did to it undone, to compare with the "
        "prevalence, the label's share in the training data.</p>"
        if adjusted
        else ""
    )
    sent = (
        " A film's grey, without its header, also goes to the server named above."
        if terms.for_server
        else ""
    )
    heat = (
        "<p>A heat map's colours run from its own lowest value to its own highest: they say where, "
        "not how much; that is for the probability. The line encloses the upper 30 % of the "
        "range.</p>"
        if maps
        else ""
    )
    return (
        '<footer class="cx-foot"><h2>Good to know</h2>'
        f"<p>{WARNING}: this page shows what a model computes, for research.</p>{loss}{heat}"
        f"<p>What is checked: the file's kind, its size (at most {terms.limit_mb:g} MB and "
        f"{terms.admission.max_pixels / 1e6:,g} million pixels, {terms.admission.min_side} pixels "
        f"or more a side) and that it holds one picture.{chest} Whether a PNG or JPEG is a "
        "radiograph at all can't be checked: for any other picture the figures mean nothing. "
        "Colour is turned to grey, and the page says so.</p>"
        "<p>Films stay in the memory of the computer that runs this page until "
        f"the page is closed, and for an hour at most.{sent} Neither files, names nor identifiers "
        "are written, logged or shown.</p></footer>"
    )
