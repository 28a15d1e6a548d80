"""The option of every command that writes results which can't be gone on with (`outputs.py`)."""

import click

overwrite = click.option(
    "--overwrite", is_flag=True, help="Replace what an earlier call of this verb wrote to --out."
)
