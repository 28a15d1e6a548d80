"""The browser, and the page whose model says the mean grey."""

from tests.cxrkeras.serving.app.conftest import served_plainly
from tests.screens.browser import browser

__all__ = ["browser", "served_plainly"]
