"""The page on the network: who may ask for what, and how much; nothing goes to disk."""

import os
import socket
import webbrowser

from cxrkeras.serving.app.desk import Desks
from cxrkeras.serving.app.gate.address import url_of
from cxrkeras.serving.app.inbox import Inbox
from cxrkeras.serving.app.judge import Judge
from cxrkeras.serving.app.reading import Reader
from cxrkeras.serving.app.terms import Terms
from data_prep.films.square import Settings
from data_prep.say import say

_CONNECTIONS = 800  # open ones; most systems give a process 1024 files
_QUIET = {  # read by gradio and huggingface_hub when they are imported
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}


def build(judge: Judge, terms: Terms):
    """The whole application (ASGI), and the reader to be closed after it.

    Returns:
        (application, reader).
    """
    os.environ.update(_QUIET)
    import gradio
    from fastapi import FastAPI

    from cxrkeras.serving.app import routes
    from cxrkeras.serving.app.gate.events import Events
    from cxrkeras.serving.app.gate.gate import Gate
    from cxrkeras.serving.app.page import HEAD, Page, look, style

    preparation = judge.preparation
    settings = Settings(
        preparation.image_size,
        preparation.pad,
        preparation.stretch,
        admission=terms.admission,
    )
    reader = Reader(settings, for_server=terms.for_server, extras=judge.extras)
    desks, inbox = Desks(), Inbox(terms.limit)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    routes.add(app, inbox, desks, judge)
    blocks = Page(judge, reader, desks, inbox, terms).blocks()
    gradio.mount_gradio_app(
        app,
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=look(),
        css=style(),
        head=HEAD,
    )
    blocks.has_launched = True  # else, being mounted, it would copy any file that an event names
    return Gate(app, terms, Events(blocks.get_config_file())), reader


def serve(judge: Judge, terms: Terms, sockets: list[socket.socket], *, open_page: bool) -> None:
    """Serve until Ctrl-C."""
    app, reader = build(judge, terms)
    import uvicorn

    from cxrkeras.serving.app.gate.connections import Prompt

    url = url_of(sockets[0])

    class Server(uvicorn.Server):
        async def startup(self, sockets: list | None = None) -> None:
            await super().startup(sockets)
            told = "press Ctrl-C to end it; films stay in memory. Not for clinical use."
            say(f"{url}  ({told})", always=True)
            if open_page:
                webbrowser.open(url)

    # Uvicorn's log would tell paths; a graceful end must not wait for open pages.
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=1,
        ws="none",
        http=Prompt,
        limit_concurrency=_CONNECTIONS,
    )
    try:
        reader.start()
        Server(config).run(sockets)
    except KeyboardInterrupt:
        pass  # the way to end it
    finally:
        reader.close()
    say("Closed; all films have been forgotten.")
