"""The cache of work that later runs share: trained stages, features, the built-in data."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """`CXRKERAS_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("CXRKERAS_CACHE", platformdirs.user_cache_path("cxrkeras")))
