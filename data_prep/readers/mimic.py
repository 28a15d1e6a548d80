"""MIMIC-CXR-JPG of Beth Israel Deaconess: 377,110 films of 227,827 studies and 65,379 patients.

ROOT holds mimic-cxr-2.0.0-chexpert.csv.gz, -metadata.csv.gz and -split.csv.gz (any release 2.x,
gzipped or not) and the films in files/p10/p10000032/s50414267; a part of them will do. Patient and
study numbers are the archive's own pseudonyms and stay; the official split becomes the column
`split`, ViewPosition the view.

The labels are of studies, mined from reports, and each film has those of its study. The codes are
kept: 1, 0, -1 uncertain, blank not mentioned. --labeller negbio takes the other labeller's. Films
of the few studies without labels are left out. The archive's JPEG release tells neither age nor
sex. The format was read from the archive's documentation.

Download: https://physionet.org/content/mimic-cxr-jpg/
Terms: a PhysioNet credentialed account, training and data use agreement; no sharing of the films

Source: Johnson AEW, Pollard TJ, Greenbaum NR, et al. MIMIC-CXR-JPG, a large publicly available
database of labeled chest radiographs. arXiv:1901.07042, 2019.
https://physionet.org/content/mimic-cxr-jpg/

Examples:
  cxrkeras prep mimic mimic-cxr-jpg/2.0.0 --out data/mimic --image-size 320
  cxrkeras prep mimic mimic-cxr-jpg/2.0.0 --out data/mimic-lateral --views lateral
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from data_prep.errors import UserError
from data_prep.readers import VIEWS, Reader
from data_prep.readers.shared.archive import ArchiveTable, archive_source, located, with_views
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.records import Source
from data_prep.registry import option
from data_prep.tables.large import read_columns
from data_prep.tables.matching import FileIndex
from data_prep.tables.table import code_of
from data_prep.tables.vocabulary import CHEXPERT14

if TYPE_CHECKING:
    import pandas as pd

_STUDY = ("subject_id", "study_id")
_FILM = ("dicom_id", *_STUDY)


class Part(Reader):
    """The labels `CHEXPERT14`, one row per film of the metadata table."""

    findings: ClassVar[Mapping[str, str]] = {name: name for name in CHEXPERT14}
    marks: ClassVar[Mapping[str, str]] = {
        f"mimic-cxr-2*-{what}.csv{end}": "study_id"
        for what in ("chexpert", "metadata", "split")
        for end in ("", ".gz")
    }

    labeller: Literal["chexpert", "negbio"] = option(
        "chexpert", "Whose labels: of mimic-cxr-2.0.0-chexpert.csv or -negbio.csv."
    )
    views: Literal["frontal", "lateral", "all"] = option("frontal", VIEWS)

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        paths = {what: _table(raw, what) for what in (self.labeller, "metadata", "split")}
        table = mimic_table(*paths.values())
        kept = with_views(table, self.views)
        source = archive_source(
            table,
            FileIndex(raw),
            name=name,
            origin="MIMIC-CXR-JPG, " + ", ".join(path.name for path in paths.values()),
            citation=self.citation_said(),
            keep=kept.rows,
        )
        return kept.said(source)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Two films of one study and one of another patient, see `Reader.example`."""
        films = [("a1", 10000032, 50414267, "PA", "train")]
        films += [("a2", 10000032, 50414267, "LATERAL", "train"), ("b1", 11000033, 5, "AP", "test")]
        for number, (film, patient, study, *_) in enumerate(films):
            place = f"files/p{str(patient)[:2]}/p{patient}/s{study}/{film}.jpg"
            write_film(folder / place, number)
        codes = ["1.0", "-1.0", "0.0", *[""] * 11]
        start = folder / "mimic-cxr-2.0.0-"
        write_table(
            Path(f"{start}chexpert.csv"),
            [(*_STUDY, *CHEXPERT14), (10000032, 50414267, *codes), (11000033, 5, *codes[::-1])],
        )
        write_table(
            Path(f"{start}metadata.csv"),
            [(*_FILM, "ViewPosition"), *(film[:4] for film in films)],
        )
        split = [(film[0], film[2], film[1], film[4]) for film in films]
        write_table(
            Path(f"{start}split.csv"), [("dicom_id", "study_id", "subject_id", "split"), *split]
        )
        return folder, cls()


def _table(root: Path, what: str) -> Path:
    found = located(root, (f"mimic-cxr-2*-{what}.csv", f"mimic-cxr-2*-{what}.csv.gz"))
    if not found:
        raise UserError(
            f"There is no mimic-cxr-2.0.0-{what}.csv.gz in {root}. Download it beside the folder "
            "`files`, and give the folder that holds both."
        )
    return found[-1]  # of several releases the newest


def mimic_table(labels: Path, metadata: Path, split: Path) -> ArchiveTable:
    """Read the archive's tables alone.

    Args:
        labels: one row per study: the labels `CHEXPERT14`.
        metadata: one row per film, with ViewPosition.
        split: the official split of each film.

    Raises:
        UserError: a table lacks a column, a code is none, or a study has two rows of labels.
    """
    import pandas as pd

    films = read_columns(metadata, _FILM, ["ViewPosition"])
    parts = read_columns(split, ("dicom_id", "split")).set_index("dicom_id")["split"]
    of = study_codes(read_columns(labels, ("study_id", *CHEXPERT14)), labels)
    study = films["study_id"]
    frame = pd.DataFrame(
        {
            "image": "files/p"
            + films["subject_id"].str[:2]
            + "/p"
            + films["subject_id"]
            + "/s"
            + study
            + "/"
            + films["dicom_id"]
            + ".jpg",
            "patient": films["subject_id"],
            "study": study,
            "view": films.get("ViewPosition", ""),
            "sex": "",
            "age": "",
            "split": films["dicom_id"].map(parts[~parts.index.duplicated()]).fillna(""),
        }
    )
    codes = [of.get(one) for one in study]
    lost = codes.count(None)
    note = f"{metadata.name}: {len(frame):,} films of {study.nunique():,} studies and "
    note += f"{films['subject_id'].nunique():,} patients"
    notes = (note, f"{lost:,} films of studies without labels are left out") if lost else (note,)
    return ArchiveTable(frame, CHEXPERT14, notes, codes)


def study_codes(table: pd.DataFrame, path: Path) -> dict[str, tuple[str, ...]]:
    """Study -> its codes; studies of the same codes share them.

    Raises:
        UserError: a value is no code, or a study has two rows.
    """
    known = {
        value: code
        for column in CHEXPERT14
        for value in table[column].unique()
        if (code := code_of(value)) is not None
    }
    wrong = [column for column in CHEXPERT14 if not table[column].isin(known).all()]
    if wrong:
        raise UserError(
            f"{path.name}: column {wrong[0]!r} holds values other than 1, 0, -1 and blank. "
            "Download it again."
        )
    if table["study_id"].duplicated().any():
        raise UserError(f"{path.name} has several rows for one study. Download it again.")
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    coded = table[list(CHEXPERT14)].apply(lambda column: column.map(known))
    rows = coded.itertuples(index=False, name=None)
    return {
        study: shared.setdefault(row, row)
        for study, row in zip(table["study_id"], rows, strict=True)
    }
