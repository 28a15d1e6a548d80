"""`--key-file`, for the verbs that make pseudonyms."""

from pathlib import Path

import click

key_file = click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the pseudonyms' secret key; created if missing. [default: "
    "$CXRKERAS_KEY_FILE, or identity.key in your config folder]",
)
