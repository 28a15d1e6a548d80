"""Options of every command that reads films."""

import click

any_body_part = click.option(
    "--any-body-part",
    is_flag=True,
    help="Take DICOM files whose header names another body part.",
)
decoding_workers = click.option(
    "--workers", type=click.IntRange(0), help="Decoding processes. [default: one per core]"
)
