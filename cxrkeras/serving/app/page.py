"""The page: Gradio's parts put together, and what happens when they are used."""

import asyncio
import itertools
from dataclasses import replace
from importlib.resources import files

import gradio as gr
from starlette.concurrency import run_in_threadpool

from cxrkeras.serving.app import words
from cxrkeras.serving.app.desk import DESKS, SLOTS, Desk, Desks, Pane
from cxrkeras.serving.app.inbox import Inbox
from cxrkeras.serving.app.judge import Judge
from cxrkeras.serving.app.picture import FULL, data_url, picture
from cxrkeras.serving.app.reading import Reader
from cxrkeras.serving.app.terms import Terms
from data_prep.errors import RejectedFile, UserError

TITLE = "cxrkeras: what the model sees. Not for clinical use"
NO_MAP = "Film only"
HEAD = '<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">'
_INVITATIONS = {"A": "Open a film", "B": "Compare with a second film"}
_PLAIN = {"js_on_load": None, "apply_default_css": False}
# Without Gradio's queue: its client loses its stream of answers while a slider is dragged, and it
# keeps answers that nobody fetches. What was typed is checked by `Events` and by us.
_QUIET = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "queue": False,
    "preprocess": False,
}
# A slider that moves on asks again once the last answer is there.
_LIVE = {**_QUIET, "trigger_mode": "always_last"}


def look() -> gr.themes.Base:
    """Gradio's own parts in the colours of our reports; fonts of the system only."""
    fonts = ["Inter", "Segoe UI", "Roboto", "Helvetica Neue", "Liberation Sans", "sans-serif"]
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.cyan,
        neutral_hue=gr.themes.colors.slate,
        font=fonts,
        font_mono=["monospace"],
    )
    colours = {
        "body_background_fill": ("#f5f6f8", "#0e141a"),
        "body_text_color": ("#17212b", "#e5ebf1"),
        "body_text_color_subdued": ("#586573", "#9aa8b6"),
        "block_background_fill": ("#ffffff", "#151d25"),
        "block_border_color": ("#dde2e8", "#2a3642"),
        "border_color_primary": ("#dde2e8", "#2a3642"),
        "block_label_text_color": ("#586573", "#9aa8b6"),
        "block_title_text_color": ("#17212b", "#e5ebf1"),
        "slider_color": ("#0b6580", "#5cbcd6"),
        "checkbox_background_color_selected": ("#0b6580", "#0b6580"),
        "checkbox_label_background_fill_selected": ("#e3f0f4", "#12303a"),
        "checkbox_label_text_color_selected": ("#17212b", "#e5ebf1"),
    }
    names = {name: light for name, (light, _) in colours.items()}
    return theme.set(**names, **{f"{name}_dark": dark for name, (_, dark) in colours.items()})


def style() -> str:
    """The style sheet of our own parts."""
    return _text("theme.css")


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


class Page:
    """One page for all visitors; what each has open lies in `desks`.

    Args:
        judge: who says what a film shows.
        reader: what decodes uploads.
        desks: the visitors' films.
        inbox: where uploads arrive.
        terms: what is allowed.
    """

    def __init__(self, judge: Judge, reader: Reader, desks: Desks, inbox: Inbox, terms: Terms):
        self._judge, self._reader, self._desks = judge, reader, desks
        self._inbox, self._terms = inbox, terms
        self._count = itertools.count()  # makes each message a new one
        self._turn = asyncio.Lock()  # of films: who waits for it keeps no thread
        self._films: dict[str, gr.HTML] = {}
        self._tools: dict[str, gr.Column] = {}
        self._windows: dict[str, tuple[gr.Slider, gr.Slider]] = {}

    def blocks(self) -> gr.Blocks:
        """The page, ready to be mounted."""
        with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
            self._blocks = blocks
            blocks.state_session_capacity = DESKS  # who leaves no word is forgotten there too
            gr.HTML(words.bar(), elem_classes="cx-sticky", **_PLAIN)
            head = words.header(self._judge.name, self._judge.about, self._judge.no_maps)
            gr.HTML(head, **_PLAIN)
            with gr.Row(elem_classes="cx-desk"):
                drops = {slot: self._column(slot) for slot in SLOTS}
            self._controls()
            self._results = gr.HTML(**_PLAIN)
            self._downloads = gr.HTML(**_PLAIN)
            gr.HTML(self._footer(), **_PLAIN)
            self._listen(drops)
            blocks.unload(self._leave)
        return blocks

    def _column(self, slot: str) -> tuple:
        """One film's place on the page: (upload, message, clear button)."""
        with gr.Column(min_width=300, elem_classes="cx-pane"):
            upload = gr.HTML(
                words.drop(slot, _INVITATIONS[slot], self._terms.limit_mb),
                js_on_load=_text("upload.js"),
                apply_default_css=False,
                slot=slot,
                limit=self._terms.limit,
            )
            message = gr.HTML("", elem_id=f"cx-message-{slot}", **_PLAIN)
            self._films[slot] = gr.HTML("", elem_id=f"cx-film-{slot}", **_PLAIN)
            with gr.Column(visible=False, elem_classes="cx-tools") as self._tools[slot]:
                level = gr.Slider(
                    0, 100, FULL.level, step=1, label=f"Film {slot}: level (brightness), %",
                    elem_id=f"cx-level-{slot}", buttons=[],
                )  # fmt: skip
                width = gr.Slider(
                    1, 200, FULL.width, step=1, label=f"Film {slot}: window (contrast), %",
                    elem_id=f"cx-width-{slot}", buttons=[],
                )  # fmt: skip
                with gr.Row():
                    whole = gr.Button("Whole range", size="sm", elem_id=f"cx-whole-{slot}")
                    clear = gr.Button(f"Close film {slot}", size="sm", elem_id=f"cx-clear-{slot}")
            self._windows[slot] = level, width
        return upload, message, whole, clear

    def _controls(self) -> None:
        with gr.Column(visible=False, elem_classes="cx-controls") as self._map_controls:
            labels = [NO_MAP, *self._judge.labels]
            self._label = gr.Radio(labels, value=NO_MAP, label="Heat map", elem_id="cx-label")
            self._opacity = gr.Slider(
                0, 100, 50, step=5, label="Opacity of the heat map, %", elem_id="cx-opacity",
                buttons=[],
            )  # fmt: skip

    def _footer(self) -> str:
        return words.footer(self._terms, self._judge.distorted, maps=not self._judge.no_maps)

    def _listen(self, drops: dict[str, tuple]) -> None:
        for slot, parts in drops.items():
            self._listen_to_film(slot, *parts)
        films = list(self._films.values())

        def choose(label: str, request: gr.Request) -> list:
            return self._choose(request.session_hash, label)

        def fade(percent: float | None, request: gr.Request) -> list:
            return self._fade(request.session_hash, percent)

        self._label.input(choose, inputs=self._label, outputs=films, **_LIVE)
        self._opacity.input(fade, inputs=self._opacity, outputs=films, **_LIVE)

    def _listen_to_film(self, slot: str, upload, message, whole, clear) -> None:
        window, film = list(self._windows[slot]), self._films[slot]

        async def arrive(event: gr.EventData, request: gr.Request) -> list:
            async with self._turn:
                return await run_in_threadpool(
                    self._arrive, request.session_hash, slot, event.ticket
                )

        def adjust(level: float | None, width: float | None, request: gr.Request) -> str:
            return self._adjust(request.session_hash, slot, level, width)

        def widen(request: gr.Request) -> list:
            shown = self._adjust(request.session_hash, slot, FULL.level, FULL.width)
            return [FULL.level, FULL.width, shown]

        def close(request: gr.Request) -> list:
            return self._close(request.session_hash, slot)

        everything = self._everything()
        upload.upload(arrive, outputs=[message, *window, *everything], **_QUIET)
        for slider in window:
            slider.input(adjust, inputs=window, outputs=film, **_LIVE)
        whole.click(widen, outputs=[*window, film], **_QUIET)
        clear.click(close, outputs=[message, *everything], **_QUIET)

    def _everything(self) -> list:
        panes = [*self._films.values(), *self._tools.values()]
        return [*panes, self._map_controls, self._results, self._downloads]

    # What happens: each gives the new values of its outputs.

    def _arrive(self, session: str, slot: str, ticket: str) -> list:
        desk = self._desks.of(session)
        try:
            desk.panes[slot] = self._read(ticket)
            told, bad = f"Film {slot} has been read.", False
        except RejectedFile as refusal:
            told, bad = _sentence(str(refusal)), True
        except UserError as error:
            told, bad = str(error), True
        except Exception as error:  # its message may hold patient data
            told, bad = _sentence(f"unforeseen {type(error).__name__}"), True
        if bad and slot in desk.panes:
            told += " The previous film is still shown."
        window = desk.panes[slot].window if slot in desk.panes else FULL
        return [self._message(told, bad), window.level, window.width, *self._all(desk)]

    def _read(self, ticket: str) -> Pane:
        if ticket == "too-large":
            raise RejectedFile(f"larger than {self._terms.limit_mb:g} MB, the largest allowed")
        body = self._inbox.take(ticket)
        if body is None:
            raise RejectedFile("it didn't arrive completely; send it again")
        seen = self._reader.read(body)
        notes = (*seen.warnings, *self._judge.notes(seen))
        return Pane(replace(seen, warnings=notes), self._judge.findings(seen))

    def _adjust(self, session: str, slot: str, level: float | None, width: float | None) -> str:
        desk = self._desks.known(session)
        if desk is None:
            return words.forgotten()
        if slot in desk.panes:
            desk.panes[slot].window = desk.panes[slot].window.moved(level, width)
        return self._film(desk, slot)

    def _close(self, session: str, slot: str) -> list:
        desk = self._desks.of(session)
        desk.panes.pop(slot, None)
        return [self._message(f"Film {slot} is closed.", False), *self._all(desk)]

    def _choose(self, session: str, label: str) -> list:
        desk = self._desks.known(session)
        if desk is None:
            return [words.forgotten() for _ in SLOTS]
        with_map = label in self._judge.labels and not self._judge.no_maps
        desk.label = label if with_map else None
        return [self._film(desk, slot) for slot in SLOTS]

    def _fade(self, session: str, percent: float | None) -> list:
        desk = self._desks.known(session)
        if desk is None:
            return [words.forgotten() for _ in SLOTS]
        if percent is not None:
            desk.opacity = min(max(percent, 0), 100) / 100
        return [self._film(desk, slot) for slot in SLOTS]

    def _leave(self, request: gr.Request) -> None:
        self._desks.drop(request.session_hash)
        # Gradio would keep what it has sent, the films' pictures too.
        kept = self._blocks.state_holder
        for by_session in (kept.session_data, kept.time_last_used):
            by_session.pop(request.session_hash, None)

    def _message(self, text: str, bad: bool) -> str:
        return words.message(text, next(self._count), bad=bad)

    # What is shown of a desk.

    def _all(self, desk: Desk) -> list:
        films = [(slot, pane.findings) for slot, pane in desk.shown()]
        return [
            *(self._film(desk, slot) for slot in SLOTS),
            *(gr.Column(visible=slot in desk.panes) for slot in SLOTS),
            gr.Column(visible=bool(films) and not self._judge.no_maps),
            words.results(films, self._judge.rule),
            words.downloads(desk.key) if films else "",
        ]

    def _film(self, desk: Desk, slot: str) -> str:
        pane = desk.panes.get(slot)
        if pane is None:
            return ""
        label, heat = desk.label, None
        if label is not None:
            if label not in pane.heats:
                pane.heats[label] = self._judge.heat(pane.seen, label)
            heat = pane.heats[label]
        pad = self._judge.preparation.pad
        url = data_url(picture(pane.seen.film, pane.window, heat, desk.opacity, pad=pad))
        scale = "" if heat is None else words.scale(heat.min(), heat.max(), self._judge.unit)
        mapped = next((finding for finding in pane.findings if finding.label == label), None)
        shown = words.figure(slot, url, pane.window, mapped, pane.seen.warnings, scale)
        return shown if desk.panes.get(slot) is pane else ""  # closed, or another one, meanwhile


def _sentence(reason: str) -> str:
    """A reason as a person would say it."""
    return f"This file can't be used: {reason.rstrip('.')}."
