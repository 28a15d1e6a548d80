"""Open-i, the chest films of Indiana University (NLMCXR): 7,470 films of 3,955 examinations.

ROOT holds the reports, ecgen-radiology/*.xml or NLMCXR_reports.tgz as downloaded, and the films,
DICOM or PNG (CXR1_1_IM-0001-3001.png); a part of them will do. An examination is a study, and as
each is another patient's, a patient too.

The labels are what the indexers' MeSH terms say (`Opacity/lung/base/left` is Lung Opacity); --mesh
automatic takes the terms that a program found, and the labels that these can give. Every film has
the labels of its report: 1, or 0 where the term isn't there; `normal` is the all-zero row. Films of
reports without terms (`No Indexing`) are left out and counted.

PNGs don't tell the view: without --projections a lateral film counts as frontal. The table may be
indiana_projections.csv (filename, projection), or one with imageid and View Position.

Download: https://openi.nlm.nih.gov/faq
Terms: open access, CC BY-NC-ND 4.0

Source: Demner-Fushman D, Kohli MD, Rosenman MB, et al. Preparing a collection of radiology
examinations for distribution and retrieval. JAMIA 23(2), 304-310, 2016.

Examples:
  cxrkeras prep openi NLMCXR --out data/openi --projections indiana_projections.csv
  cxrkeras prep openi NLMCXR --out data/openi-auto --mesh automatic --views all
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from data_prep.errors import UserError
from data_prep.readers import Reader
from data_prep.readers.shared.archive import ROLES, ArchiveTable, archive_source, located
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.nlmcxr_reports import (
    AUTOMATIC,
    LABELS,
    NO_FINDINGS,
    TERMS,
    read_reports,
)
from data_prep.readers.shared.records import Source
from data_prep.registry import option
from data_prep.tables.columns import usual_column
from data_prep.tables.matching import FileIndex
from data_prep.tables.table import read_table

_REPORTS = ("ecgen-radiology", "NLMCXR_reports.tgz")
_NAME = re.compile(r"^(?:CXR\d+_)?(.+?)(?:\.dcm)?(?:\.png|\.jpg)?$", re.IGNORECASE)


class Part(Reader):
    """The labels of `nlmcxr_reports.LABELS` for the terms, one row per film of a report."""

    default_views: ClassVar[str] = "frontal"
    findings: ClassVar[Mapping[str, str]] = {
        **TERMS,
        **AUTOMATIC,
        **dict.fromkeys(NO_FINDINGS, ""),
    }
    marks: ClassVar[Mapping[str, str]] = dict.fromkeys(_REPORTS, "")

    mesh: Literal["major", "automatic"] = option(
        "major", "Whose MeSH terms: the indexers', or those that a program found."
    )
    projections: Path | None = option(None, "Table of films and their views.")

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        import pandas as pd

        found = located(raw, ("NLMCXR_reports.tgz", "ecgen-radiology/*.xml"))
        if not found:
            raise UserError(
                f"There is neither ecgen-radiology with reports (*.xml) nor NLMCXR_reports.tgz in "
                f"{raw}. Download the reports beside the films, and give the folder of both."
            )
        reports = read_reports(found, self.mesh)
        views = _views(self.projections) if self.projections else {}
        rows = [
            (film, report.study, report.study, views.get(_plain(film), ""), "", "", "")
            for report in reports
            for film in report.films
        ]
        codes = [report.codes for report in reports for _ in report.films]
        frame = pd.DataFrame(rows, columns=list(ROLES))
        lost = codes.count(None)
        notes = [f"{len(reports):,} reports of {len(rows):,} films"]
        notes.append(f"of reports without MeSH terms of findings: {lost:,} films left out")
        if self.projections:
            told = int((frame["view"] != "").sum())
            notes.append(f"{self.projections.name}: the view of {told:,} films")
        else:
            notes.append("views: unknown, unless DICOM headers tell them (--projections)")
        return archive_source(
            ArchiveTable(frame, LABELS[self.mesh], tuple(notes), codes),
            FileIndex(raw),
            name=name,
            origin=f"Open-i, {found[0].name if len(found) == 1 else _REPORTS[0]}",
            citation=self.citation_said(),
            others=False,
        )

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """An examination of two films and a normal one, see `Reader.example`."""
        said = {1: "Opacity/lung/base/left", 2: "normal"}
        for number, term in said.items():
            films = [f"CXR{number}_1_IM-000{number}-{one}001" for one in (3, 4)[: 3 - number]]
            for seed, film in enumerate(films):
                write_film(folder / "NLMCXR_png" / f"{film}.png", 10 * number + seed)
            places = "".join(f'<parentImage id="{film}"/>' for film in films)
            path = folder / "ecgen-radiology" / f"{number}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                f'<eCitation><uId id="CXR{number}"/><MeSH><major>{term}</major></MeSH>{places}'
                "</eCitation>",
                encoding="utf-8",
            )
        rows = [("uid", "filename", "projection"), (1, "1_IM-0001-3001.dcm.png", "Frontal")]
        rows += [(1, "1_IM-0001-4001.dcm.png", "Frontal")]
        return folder, cls(projections=write_table(folder / "indiana_projections.csv", rows))


def _views(path: Path) -> dict[str, str]:
    table = read_table(path)
    film = usual_column(table, "imageid|image id|filename|image", set())
    view = usual_column(table, "view position|projection|view", set())
    if film is None or view is None:
        raise UserError(
            f"{path.name} needs a column of films (filename or imageid) and one of views "
            f"(projection or View Position). It has {', '.join(list(table.columns)[:8])}."
        )
    return dict(zip(map(_plain, table[film]), table[view], strict=True))


def _plain(film: str) -> str:
    """`1_IM-0001-4001` of every spelling of a film's name."""
    name = film.replace("\\", "/").rpartition("/")[2]
    return _NAME.sub(r"\1", name).casefold()
