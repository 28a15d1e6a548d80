"""Montgomery County's chest films for tuberculosis: 138 films, 58 of them with it.

ROOT is MontgomerySet, or the folder that contains it (NLM-MontgomeryCXRSet):
CXR_png/MCUCXR_0001_0.png and ClinicalReadings/MCUCXR_0001_0.txt; a part of them will do. The last
digit of the name is the label: 1 for tuberculosis. Sex and age come from the first lines of the
readings, whose other words aren't read. All films are posterior-anterior; each case is taken for a
patient.

The masks of the lungs (ManualMask/leftMask, ManualMask/rightMask) become boxes of the label Lung in
boxes.csv, unless you give --no-lungs; parts of less than a hundredth of a mask are stray marks and
left out.

None of it was at hand: all formats could only be read from their documentation. TBX11K contains
these films too.

Download: https://openi.nlm.nih.gov/imgs/collections/NLM-MontgomeryCXRSet.zip
Terms: any use, with the NLM's papers cited

Source: Jaeger S, Candemir S, Antani S, Wang YX, Lu PX, Thoma G. Two public chest X-ray datasets for
computer-aided screening of pulmonary diseases. Quant Imaging Med Surg 2014;4(6):475-477. Masks:
Candemir S, et al. Lung segmentation in chest radiographs using anatomical atlases with nonrigid
registration. IEEE Trans Med Imaging 2014;33(2):577-590

Examples:
  cxrkeras prep montgomery NLM-MontgomeryCXRSet/MontgomerySet --out data/montgomery
  cxrkeras prep montgomery MontgomerySet --out data/montgomery --no-lungs
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

MONTGOMERY = Collection("the Montgomery County set", "MCUCXR", 138)


class Part(Reader):
    """One label, Tuberculosis; lungs are places, not findings."""

    findings: ClassVar[Mapping[str, str]] = named_alike((LABEL,))
    marks: ClassVar[Mapping[str, str]] = MONTGOMERY.marks

    lungs: bool = option(True, "Take boxes of the lungs from masks, where there are any.")

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        return collection_source(MONTGOMERY, raw, name, self.citation_said(), lungs=self.lungs)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Three films, one with a mask of each lung, see `Reader.example`."""
        places = tuple(f"ManualMask/{side}Mask/{{}}.png" for side in ("left", "right"))
        write_example(MONTGOMERY, folder, places)
        return folder, cls()
