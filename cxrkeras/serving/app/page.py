"""The page: Gradio's parts put together, and what happens when they are used."""

import asyncio
import itertools
from dataclasses import replace

import gradio as gr
from starlette.concurrency import run_in_threadpool

from cxrkeras.serving.app import words
from cxrkeras.serving.app.desk import DESKS, FILMS, Desk, Desks, Pane
from cxrkeras.serving.app.inbox import Inbox
from cxrkeras.serving.app.judge import Judge
from cxrkeras.serving.app.reading import Reader
from cxrkeras.serving.app.terms import Terms
from data_prep.errors import RejectedFile, UserError

TITLE = "cxrkeras: what the model sees. Not for clinical use"
HEAD = '<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">'
_PLAIN = {"js_on_load": None, "apply_default_css": False}
# Without Gradio's queue, which keeps answers that nobody fetches. What is sent is checked by
# `Events` and by us.
_QUIET = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "queue": False,
    "preprocess": False,
}
_SCRIPTS = ("film.js", "upload.js", "desk.js")  # of one scope, in this order


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
    }
    names = {name: light for name, (light, _) in colours.items()}
    return theme.set(**names, **{f"{name}_dark": dark for name, (_, dark) in colours.items()})


def style() -> str:
    """The style sheet of our own parts."""
    return words.static("theme.css")


class Page:
    """One page for all visitors; what each has open lies in `desks`.

    Gradio brings films in and tells when a visitor leaves. All else is the page's own script, which
    asks for it by `routes`.

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

    def blocks(self) -> gr.Blocks:
        """The page, ready to be mounted."""
        maps = not self._judge.no_maps
        with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
            self._blocks = blocks
            blocks.state_session_capacity = DESKS  # who leaves no word is forgotten there too
            gr.HTML(words.bar(), elem_classes="cx-sticky", **_PLAIN)
            head = words.header(self._judge.name, self._judge.about, self._judge.no_maps)
            gr.HTML(head, **_PLAIN)
            upload = gr.HTML(
                words.desk(self._terms, maps),
                elem_id="cx-desk",
                js_on_load="\n".join(map(words.static, _SCRIPTS)),
                apply_default_css=False,
                limit=self._terms.limit,
                most=FILMS,
            )
            message = gr.HTML("", elem_id="cx-message", **_PLAIN)
            gr.HTML(words.footer(self._terms, self._judge.distorted, maps=maps), **_PLAIN)
            self._listen(upload, message)
            blocks.unload(self._leave)
        return blocks

    def _listen(self, upload: gr.HTML, message: gr.HTML) -> None:
        async def arrive(event: gr.EventData, request: gr.Request) -> str:
            async with self._turn:
                return await run_in_threadpool(self._arrive, request.session_hash, event.ticket)

        upload.upload(arrive, outputs=message, **_QUIET)

    def _arrive(self, session: str, ticket: str) -> str:
        """Read an upload; what is to be said of it."""
        desk, film, bad = self._desks.of(session), 0, True
        try:
            pane = self._read(desk, ticket)
            film, told, bad = pane.number, f"Film {pane.number} has been read.", False
        except RejectedFile as refusal:
            told = _sentence(str(refusal))
            refusal.__traceback__ = None  # its frames hold each other, and the upload
        except UserError as error:
            told = str(error)
        except Exception as error:  # its message may hold patient data
            told = _sentence(f"unforeseen {type(error).__name__}")
        return words.message(told, next(self._count), bad=bad, key=desk.key, film=film)

    def _read(self, desk: Desk, ticket: str) -> Pane:
        if ticket == "too-large":
            raise RejectedFile(f"larger than {self._terms.limit_mb:g} MB, the largest allowed")
        body = self._inbox.take(ticket)
        if body is None:
            raise RejectedFile("it didn't arrive completely; send it again")
        if len(desk.panes) >= FILMS:
            raise UserError(f"{FILMS} films are open, the most at once. Close one first.")
        seen = self._reader.read(body)
        notes = (*seen.warnings, *self._judge.notes(seen))
        found, far = self._judge.findings(seen), self._judge.unlike(seen)
        return desk.open(replace(seen, warnings=notes), found, far)

    def _leave(self, request: gr.Request) -> None:
        self._desks.drop(request.session_hash)
        # Gradio would keep what it has sent.
        kept = self._blocks.state_holder
        for by_session in (kept.session_data, kept.time_last_used):
            by_session.pop(request.session_hash, None)


def _sentence(reason: str) -> str:
    """A reason as a person would say it."""
    return f"This file can't be used: {reason.rstrip('.')}."
