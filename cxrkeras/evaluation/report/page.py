"""Pages from templates: one HTML file with everything inside."""

from collections.abc import Mapping
from functools import cache

import jinja2

from cxrkeras import __version__
from cxrkeras.evaluation.compare.verdict import percent


def page(package: str, template: str, context: Mapping) -> str:
    """Render a package's template, which may extend this one's page.html.

    A name that the context lacks is an error.
    """
    return _templates(package).get_template(template).render(context, version=__version__)


@cache  # parsing them takes longer than filling them
def _templates(package: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in (package, __package__)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        num=_num,
        signed=_signed,
        p=_p,
        pct=_pct,
        count=_count,
        pm=_pm,
        bounds=_bounds,
        percent=percent,
    )
    return environment


def _num(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _pct(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _count(value: int) -> str:
    return f"{value:,}"


def _pm(over: Mapping, digits: int = 3) -> str:
    if over["mean"] is None:
        return "–"
    spread = "" if over["sd"] is None else f" ± {over['sd']:.{digits}f}"
    return f"{over['mean']:.{digits}f}{spread}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _bounds(part: Mapping | None, signed: bool = False) -> str:
    """`low` and `high` of an interval, or nothing if there is none."""
    if part is None or part["low"] is None:
        return ""
    show = _signed if signed else _num
    return f"{show(part['low'])} to {show(part['high'])}"
