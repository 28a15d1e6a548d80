"""`cxrkeras labels`: what archives call their findings, and how their labels merge."""

from pathlib import Path

import click

from cxrkeras.commands.prep.options import FILE
from cxrkeras.commands.shared.helping import Verb
from cxrkeras.registry import READERS

_NONE = "-"


@click.command(cls=Verb)
@click.argument("archives", nargs=-1, metavar="[ARCHIVE]...")
@click.option(
    "--findings",
    type=FILE,
    help="TOML file of findings that comes over the vocabulary, as `prep --findings` takes it.",
)
def command(archives: tuple[str, ...], findings: Path | None) -> None:
    """Show the vocabulary, an archive's names for findings, or how archives' labels merge.

    Without ARCHIVE: every finding of the vocabulary under its parent, with other spellings. One
    ARCHIVE (a verb of `cxrkeras prep`, or a prepared folder): its names, the label that each has in
    a prepared dataset, ours, and what has no place. Several: the label space of `--joint merged`;
    where an archive has no label, its films are masked there, never negative.

    A file of --findings has a table for each finding:

    \b
      ["Pleural_Thickening"]
      synonyms = ["thickened pleura"]
      parents = ["Pleural Other"]

    \b
    Examples:
      cxrkeras labels
      cxrkeras labels chexpert
      cxrkeras labels nih chexpert data/ours
      cxrkeras labels padchest --findings mine.toml
    """
    from data_prep.tables.ontology import ontology_of

    ontology = ontology_of(findings)
    if not archives:
        _print_findings(ontology)
    elif len(archives) == 1:
        _print_archive(archives[0], ontology)
    else:
        _print_merged(archives, ontology if findings else None)


def _print_findings(ontology) -> None:
    shown = set()

    def show(name: str, depth: int) -> None:
        finding = ontology.findings[name]
        said = []
        if finding.synonyms:
            said.append(f"also {', '.join(finding.synonyms)}")
        if finding.any_of:
            said.append(f"any of {', '.join(finding.any_of)}")
        again = " (as above)" if name in shown else ""
        click.echo(f"{'  ' * depth}{name}{again}" + (f": {'; '.join(said)}" if said else ""))
        if name not in shown:
            shown.add(name)
            for child, other in ontology.findings.items():
                if name in other.parents:
                    show(child, depth + 1)

    for name, finding in ontology.findings.items():
        if not finding.parents:
            show(name, 0)
    click.echo(f"\n{len(ontology.findings)} findings. Next: cxrkeras labels ARCHIVE")


def _print_archive(archive: str, ontology) -> None:
    names = _names(archive)
    rows = [("archive", "label", "ours", "parents")]
    for name, label in names.items():
        found = ontology.name_of(label) if label else None
        parents = ", ".join(ontology.ancestors(found)) if found else ""
        rows.append((name, label or _NONE, found or _NONE, parents or _NONE))
    _print_table(rows)
    unplaced = [label for label in names.values() if label and not ontology.name_of(label)]
    none = [name for name, label in names.items() if not label]
    if none:
        click.echo(f"\nNo label (nothing to find, or no finding): {', '.join(none)}")
    if unplaced:
        click.echo(f"\nWithout a place in the vocabulary: {', '.join(dict.fromkeys(unplaced))}")


def _print_merged(archives: tuple[str, ...], ontology) -> None:
    from cxrkeras.data.dataset import load_dataset
    from cxrkeras.data.labels.meanings import Meanings
    from cxrkeras.data.labels.merged import merged_labels
    from data_prep.errors import UserError

    folders = {one: load_dataset(Path(one)) for one in archives if _is_folder(one)}
    labels = {archive: _labels(archive) for archive in archives}
    if len(labels) < len(archives):
        raise UserError(f"Each archive is named once. Received: {' '.join(archives)}.")
    if ontology:
        for archive in labels.keys() - folders.keys():
            names = map(ontology.name_of, labels[archive])
            labels[archive] = list(dict.fromkeys(name for name in names if name))
    meaning = Meanings.of(folder.spellings for folder in folders.values())
    rows = [("merged", *labels)]
    for label in merged_labels(labels, meaning):
        own = [
            next((one for one in kept if meaning(one) == meaning(label)), _NONE)
            for kept in labels.values()
        ]
        rows.append((label, *own))
    _print_table(rows)
    click.echo(f"\n{len(rows) - 1} labels; {_NONE}: not labelled there, masked in training")


def _names(archive: str) -> dict[str, str]:
    """{an archive's name of a finding: the label of it}; of a prepared folder, its labels."""
    from data_prep.errors import UserError

    if _is_folder(archive):
        from cxrkeras.data.dataset import read_labels

        return {label: label for label in read_labels(Path(archive))}
    names = dict(READERS.load(archive).findings)
    if not names:
        raise UserError(
            f"The labels of `cxrkeras prep {archive}` are those of the user's table. Give the "
            "folder of a dataset prepared from it."
        )
    return names


def _is_folder(archive: str) -> bool:
    return archive.replace("-", "_") not in READERS.names() and Path(archive).is_dir()


def _labels(archive: str) -> list[str]:
    return list(dict.fromkeys(label for label in _names(archive).values() if label))


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
