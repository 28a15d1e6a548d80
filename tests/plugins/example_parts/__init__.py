"""A part of every kind, a file each; `pyproject.toml` beside this folder names them."""
