"""A source whose labels are put into the words of the vocabulary."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.errors import UserError
from data_prep.readers.shared.records import Source
from data_prep.readers.shared.rows import STRENGTH
from data_prep.tables.ontology import Ontology, ontology_of, ours, spellings_in

OWN, OURS = "own", "ours"


def worded(source: Source, choice: str) -> Source:
    """The source in the words that `--findings` chooses.

    Args:
        source: an archive.
        choice: `own` leaves its labels as they are, `ours` takes the vocabulary's, and the path of
            a TOML file the vocabulary with that file over it.

    Raises:
        UserError: the file can't be used, or none of the labels has a place.
    """
    if choice == OWN:
        return source
    if choice == OURS:
        return in_words_of(source, ours())
    return replace(
        in_words_of(source, ontology_of(Path(choice))), spellings=spellings_in(Path(choice))
    )


def in_words_of(source: Source, ontology: Ontology) -> Source:
    """The source with the vocabulary's names for labels.

    Labels of one meaning become one: present if any is, else uncertain if any is, else absent if
    any is. Where a finding is present, so are its parents among the labels; where it is uncertain,
    they are absent no more. A label without a place in the vocabulary is left out.

    Raises:
        UserError: none of the labels has a place.
    """
    names = [ontology.name_of(label) for label in source.labels]
    labels = tuple(dict.fromkeys(name for name in names if name))
    if not labels:
        raise UserError(
            f"The vocabulary has none of the labels {', '.join(source.labels[:8])}. Leave out "
            "--findings, or name them in a file: `cxrkeras labels --help`."
        )
    columns = [[n for n, name in enumerate(names) if name == label] for label in labels]
    children = [_below(label, labels, ontology) for label in labels]
    kept: dict[tuple[str, ...], tuple[str, ...]] = {}  # many films have the same codes

    def codes(own: tuple[str, ...]) -> tuple[str, ...]:
        if own not in kept:
            kept[own] = _implied(_joined(own, columns), children)
        return kept[own]

    records = [replace(record, codes=codes(record.codes)) for record in source.records]
    boxes = source.boxes and tuple(
        replace(box, label=ontology.name_of(box.label) or box.label) for box in source.boxes
    )
    lost = [label for label, name in zip(source.labels, names, strict=True) if not name]
    note = f"labels: {len(labels)} findings of the vocabulary, from {len(names)} of the archive"
    if lost:
        note += f"; without a place in it and left out: {', '.join(lost)}"
    return replace(source, labels=labels, records=records, boxes=boxes, notes=(*source.notes, note))


def _below(label: str, labels: Sequence[str], ontology: Ontology) -> list[int]:
    return [n for n, other in enumerate(labels) if label in ontology.ancestors(other)]


def _joined(codes: tuple[str, ...], columns: list[list[int]]) -> tuple[str, ...]:
    return tuple(max((codes[n] for n in group), key=STRENGTH.__getitem__) for group in columns)


def _implied(codes: tuple[str, ...], children: list[list[int]]) -> tuple[str, ...]:
    def implied(code: str, kinds: set[str]) -> str:
        if "1" in kinds:
            return "1"
        return "-1" if code == "0" and "-1" in kinds else code

    return tuple(
        implied(code, {codes[n] for n in below})
        for code, below in zip(codes, children, strict=True)
    )
