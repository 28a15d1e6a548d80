"""The whole image."""

from cxrkeras.models.views import Views


class Part(Views):
    """Nothing is cut off."""
