"""Readers: a module per layout of raw films and labels; `cxrkeras prep NAME` is made of it.

The docstring of a reader's file is the help of that verb: what it reads in the first line, then
what the layout is, `Download:`, `Terms:`, the paragraph `Source:` that is to be cited, examples.
pandas, NumPy and Pillow are imported inside functions, so that the help comes quickly.
"""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Self

from data_prep.readers.shared.records import Source
from data_prep.registry import Part, docstring, option
from data_prep.tables.vocabulary import is_normal

VIEWS = (
    "Films to keep, by their view in the table or else in the DICOM header; an unknown view "
    "counts as frontal."
)
"""The help of `--views`."""


def named_alike(names: Iterable[str]) -> dict[str, str]:
    """`Reader.findings` of names that are the labels too; what says normal is no label."""
    return {name: "" if is_normal(name) else name for name in names}


class Reader(Part):
    """What reads an archive as it is downloaded, from the one folder ROOT.

    Its fields are the verb's own options. A `Path` is a file; a tuple of `str` is one text,
    separated by commas; of another tuple each value is an option again; a field `views` stands in
    the place of the option `--views`, and the reader then keeps the films of those views itself.

    Attributes:
        archive: whether films and tables are together in ROOT; otherwise the films' folder is
            `--images`.
        public: whether the identifiers are public, and stay; otherwise they become keyed hashes.
        default_views: of `--views`: `all`, `frontal` or `lateral`.
        findings: {the archive's name of a finding: the label that its datasets have for it, or ""
            where they have none}; empty where the user's table decides. Labels are the archive's
            own names, or ours where its names mean something else on their own; what a label means
            is what `vocabulary.canonical` makes of it.
        marks: {a file by which the archive's folder is known, relative to it, with `*`: a text that
            stands in its first lines, or ""}; any of them will do.
    """

    archive: ClassVar[bool] = True
    public: ClassVar[bool] = True
    default_views: ClassVar[str] = "all"
    findings: ClassVar[Mapping[str, str]] = {}
    marks: ClassVar[Mapping[str, str]] = {}

    def read(self, raw: Path, name: str) -> Source:
        """Read what there is; of the images, only whether they exist.

        Args:
            raw: ROOT, or the folder of films.
            name: the dataset's name.

        Raises:
            UserError: a table is missing or can't be used, or none of its images is there.
        """
        raise NotImplementedError

    def next_step(self, out: Path) -> str:
        """The command that usually follows a dataset prepared into `out`, on a line of its own."""
        name = self.part_name()
        source = shlex.quote(f"imagenet,{name}={out}")
        return f"cxrkeras pretrain --source {source} --out trunks/{name}"

    @classmethod
    def citation_said(cls) -> str:
        """What to cite: the paragraph `Source:` of the file's docstring."""
        return docstring(cls.__module__)[1]

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Write a few films in this layout, on which the shared tests try the reader.

        Args:
            folder: an empty folder.

        Returns:
            What `read` takes as `raw`, and the reader with its options.
        """
        raise NotImplementedError


class TableReader(Reader):
    """What reads a folder of somebody's own films, `--images`, and a table of them.

    Its own fields name that table, and what in it are the labels. A column of another role that
    isn't named is found by its usual names.
    """

    archive: ClassVar[bool] = False
    public: ClassVar[bool] = False

    citation: str = option("", "What to cite for these data.")
    encoding: str | None = option(
        None, "Encoding of the table, if it isn't detected (e.g. gb18030)."
    )
    image_column: str | None = option(None, "Column of the table with the image.")
    patient_column: str | None = option(None, "Column of the table with the patient.")
    study_column: str | None = option(None, "Column of the table with the study.")
    sex_column: str | None = option(None, "Column of the table with the sex.")
    age_column: str | None = option(None, "Column of the table with the age.")
    view_column: str | None = option(None, "Column of the table with the view.")
    split_column: str | None = option(None, "Column of the table with the split.")

    @property
    def columns(self) -> dict[str, str | None]:
        """Role -> the column that was named for it, as `rows.join_rows` takes them."""
        roles = (name for name in TableReader.model_fields if name.endswith("_column"))
        return {name.removesuffix("_column"): getattr(self, name) for name in roles}

    def next_step(self, out: Path) -> str:
        """The command that usually follows a dataset prepared into `out`."""
        command = f"cxrkeras cv --data {shlex.quote(str(out))} --preset cpu"
        return f"{command}\n(with a GPU: --preset gpu)"
