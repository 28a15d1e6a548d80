"""The page's own text as HTML."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files

import numpy as np

from cxrkeras.serving.app.desk import FILMS
from cxrkeras.serving.app.terms import Terms
from cxrkeras.serving.explain.overlay import WARNING, coloured

FORGOTTEN = (
    "These films have been forgotten: they were unused for an hour, too many visitors came after "
    "them, or the page was restarted. Send them again."
)


def static(name: str) -> str:
    """A file of the page."""
    return files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def bar() -> str:
    """Always in sight."""
    return (
        '<div class="cx-bar"><span class="cx-brand">cxrkeras</span>'
        f'<strong class="cx-caution">{WARNING}</strong></div>'
    )


def header(name: str, about: Sequence[str], no_maps: str) -> str:
    """The title, and what is known of the model: shut once there are films, for their sake."""
    lines = list(about)
    if no_maps:
        lines.append(f"No heat maps: {no_maps}")
    told = " ".join(escape(line) for line in lines)
    return (
        '<header class="cx-head"><h1>What the model sees in a chest radiograph</h1>'
        f'<details class="cx-about" open><summary>About the model {escape(name)}</summary>'
        f"<p>{told}</p></details></header>"
    )


def desk(terms: Terms, maps: bool) -> str:
    """Films, answers and tools, to which `desk.js` gives life."""
    values = {
        "{limit}": f"{terms.limit_mb:g}",
        "{most}": str(FILMS),
        "{maps}": "" if maps else "hidden",
        "{colours}": coloured(np.arange(256) / 255).tobytes().hex(),
        "{warning}": WARNING,
    }
    text = static("desk.html")
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def message(text: str, number: int, *, bad: bool, key: str = "", film: int = 0) -> str:
    """One line on the last upload, for the page's script, which shows it.

    Args:
        text: the line.
        number: makes each one new.
        bad: whether it is a refusal.
        key: of the visitor's desk.
        film: the number of the film that was read; 0 for none.
    """
    kind = "cx-bad" if bad else "cx-good"
    return (
        f'<p class="{kind}" data-n="{number}" data-key="{key}" data-film="{film}">'
        f"{escape(text)}</p>"
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
        "<p>The score is what the model computes, which its loss bends away from the probability, "
        "often far upwards. The probability has that undone, to compare with the prevalence, the "
        "label's share in the training data. In the JSON, as from cxrkeras predict, the score is "
        "called “probability”, and the probability “adjusted”.</p>"
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
        "range. The map is no finer than its cells, and no colour is laid on the black around the "
        "picture.</p>"
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
        "<p>What you type for the sheet goes on the sheet and into the JSON, and is kept nowhere."
        "</p>"
        "<p>Films stay in the memory of the computer that runs this page until "
        f"the page is closed, and for an hour at most.{sent} Neither files, names nor identifiers "
        "are written, logged or shown.</p></footer>"
    )
