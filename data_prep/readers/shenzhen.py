"""Shenzhen's chest films for tuberculosis: 662 films, 336 of them with it.

ROOT is ChinaSet_AllFiles, or the folder that contains it: CXR_png/CHNCXR_0001_0.png and
ClinicalReadings/CHNCXR_0001_0.txt; a part of them will do. The last digit of the name is the label:
1 for tuberculosis. Sex and age come from the first lines of the readings, whose other words aren't
read. All films are posterior-anterior; each case is taken for a patient.

Masks of the lungs, which others drew (CHNCXR_0001_0_mask.png, in a folder `mask` beside CXR_png),
become boxes of the label Lung in boxes.csv, unless you give --no-lungs. The later annotations of
abnormalities (a folder `Annotations`) aren't read.

None of it was at hand: all formats could only be read from their documentation. TBX11K contains
these films too.

Download: https://openi.nlm.nih.gov/imgs/collections/ChinaSet_AllFiles.zip
Terms: any use, with the two papers of the NLM cited; the masks of Stirenko et al.: CC BY-NC-SA 4.0

Source: Jaeger S, Candemir S, Antani S, Wang YX, Lu PX, Thoma G. Two public chest X-ray datasets for
computer-aided screening of pulmonary diseases. Quant Imaging Med Surg 2014;4(6):475-477. Masks:
Stirenko S, et al. Chest X-Ray Analysis of Tuberculosis by Deep Learning with Segmentation and
Augmentation. ELNANO 2018

Examples:
  cxrkeras prep shenzhen ChinaSet_AllFiles --out data/shenzhen
  cxrkeras prep shenzhen ChinaSet_AllFiles --out data/shenzhen --no-lungs
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from data_prep.readers import Reader, named_alike
from data_prep.readers.shared.records import Source
from data_prep.readers.shared.tuberculosis import (
    LABEL,
    Collection,
    collection_source,
    write_example,
)
from data_prep.registry import option

SHENZHEN = Collection("the Shenzhen set", "CHNCXR", 662)


class Part(Reader):
    """One label, Tuberculosis; lungs are places, not findings."""

    findings: ClassVar[Mapping[str, str]] = named_alike((LABEL,))
    marks: ClassVar[Mapping[str, str]] = SHENZHEN.marks

    lungs: bool = option(True, "Take boxes of the lungs from masks, where there are any.")

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        return collection_source(SHENZHEN, raw, name, self.citation_said(), lungs=self.lungs)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Three films, one with a mask, see `Reader.example`."""
        write_example(SHENZHEN, folder, ("mask/{}_mask.png",))
        return folder, cls()
