"""What the verbs of `cxrkeras prep` do with a source: select, say, prepare, report."""

from collections.abc import Callable
from pathlib import Path

import click

from cxrkeras.commands.prep.options import COLUMN_ROLES

_RASTER = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def prepare_table(reader: Callable, options: dict, **choices) -> None:
    """Prepare a folder and a table of the user's own.

    Args:
        reader: `table_source`, `eda_source`.
        options: what the command received, but for `choices`.
        **choices: what is the reader's alone.
    """
    from dataclasses import replace

    from data_prep.readers.rows import Choice

    choice = Choice(**{role: options.pop(f"{role}_column") for role in COLUMN_ROLES})
    images, table = options.pop("images"), options.pop("table")
    _check(images, options, "--images")
    reading = {"name": _name(options), "encoding": options.pop("encoding")}
    source = reader(images, table, choice=choice, **reading, **choices)
    source = replace(source, citation=options.pop("citation"))
    _prepare(source, options)
    click.echo(f"\nNext: cxrkeras cv --data {options['out']} --source imagenet")


def prepare_archive(reader: Callable, root: Path, options: dict, **choices) -> None:
    """Prepare a public archive: its identifiers stay, and no secret key is needed.

    Args:
        reader: `nih_source`, `chexpert_source`.
        root: the archive's folder.
        options: what the command received, but for `choices`.
        **choices: what is the reader's alone.
    """
    _check(root, options, "the archive's folder")
    source = reader(root, name=_name(options), **choices)
    _prepare(source, {**options, "public": True})


def _name(options: dict) -> str:
    from data_prep.filenames import printable

    return options.pop("name") or printable(options["out"].resolve().name)


def _prepare(source, options: dict) -> None:
    """Select, say what was understood, prepare, say what came out."""
    from data_prep.dataset.prepare import prepare
    from data_prep.readers.selection import limited, without

    options = dict(options)
    lists, limit, seed = (options.pop(name, None) for name in ("exclude", "limit", "seed"))
    source = without(source, lists) if lists else source
    source = limited(source, limit, seed) if limit else source
    for note in source.notes:
        click.echo(note)
    key = _key(options.pop("key_file", None), options["public"], options["out"])
    if not options["public"] and not options["hash_names"]:
        _tell_names(source)
    report(prepare(source, key=key, **options), told=len(source.notes))


def _key(path: Path | None, public: bool, out: Path) -> bytes:
    """The key of the pseudonyms; a public archive needs no secret, and so is alike anywhere."""
    from data_prep.dataset.identity import default_key_file, load_key
    from data_prep.errors import UserError

    if public:
        return b"cxrkeras: a public archive"
    path = path or default_key_file()
    if path.resolve().is_relative_to(out.resolve()):
        raise UserError(f"The key file {path} would lie inside the dataset. Give a place outside.")
    key = load_key(path)
    click.echo(f"patients become pseudonyms under the key {path} (keep it, and keep it secret)")
    return key


def _tell_names(source) -> None:
    if any(record.path.suffix.lower() in _RASTER for record in source.records):
        click.echo(
            "images that aren't DICOM keep their file names "
            "(--hash-names, if those identify patients)"
        )


def _check(images: Path, options: dict, what: str) -> None:
    from data_prep.errors import UserError

    out, stretch = options["out"], options["stretch"]
    if out.resolve().is_relative_to(images.resolve()):
        raise UserError(f"--out {out} lies inside {what}: give a place outside that folder.")
    if stretch and not 0 <= stretch[0] < stretch[1] <= 100:
        raise click.UsageError(
            f"--stretch needs two percentiles, 0 <= LOW < HIGH <= 100; received {stretch[0]:g} "
            f"{stretch[1]:g}."
        )


def report(summary, told: int) -> None:
    """Print a prepared dataset's counts and where it lies, and its notes but the first `told`."""
    from data_prep.dataset.publish import WARNING

    counts = summary.description["counts"]
    held = f"{counts['images']} images of {counts['patients']} patients"
    click.echo(f"\n{summary.out}: {_state(summary)}: {held}")
    _tally("rejected", summary.rejected, "rejected.csv")
    _tally("duplicates", summary.duplicates, "duplicates.csv")
    for note in summary.description["notes"][told:]:
        click.secho(f"  {note}", fg="yellow" if note.startswith(WARNING) else None)
    width = max(map(len, counts["per_label"]), default=0)
    click.echo(f"  {'label':<{width}}  positive  negative  uncertain  not mentioned")
    for label, n in counts["per_label"].items():
        click.echo(f"  {label:<{width}}  {n['1']:8}  {n['0']:8}  {n['-1']:9}  {n['']:13}")


def _state(summary) -> str:
    if not summary.already:
        return "prepared"
    known = "already prepared" + ", every image verified" * summary.verified
    if summary.mended:
        return f"{known}, {summary.mended} made again (damaged or missing)"
    return known if summary.verified else f"{known}, nothing done"


def _tally(what: str, counts, file: str) -> None:
    if not counts:
        return
    click.echo(f"  {what}: {sum(counts.values())} (in {file})")
    for reason, count in counts.most_common():
        click.echo(f"    {count:6}  {reason}")
