"""A real header with a person's name planted in it, element by element."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from tests.data_prep.readers.archives import film

MARK = "ZQMUELLER"
_NUMBERS = frozenset(["US", "SS", "UL", "SL", "FL", "FD", "AT", "OB", "OW", "OF", "OD", "UN"])
SIDE = 48


def planted(source: Path, folder: Path) -> list[Path]:
    """Copies of a DICOM file, each with the mark in one text element, alone or after its value; and
    one with the mark in all of them but those without which it is no radiograph.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain = pydicom.dcmread(source)
    _add_what_machines_write(plain)
    places = [path for path, _ in _texts(plain)]
    variants = [[(place, after)] for place in places for after in (False, True)]
    needed = {tag_for_keyword(word) for word in ("PhotometricInterpretation", "Modality")}
    spare = [place for place in places if place[-1] not in needed]
    variants.append([(place, False) for place in spare])
    files = []
    for number, variant in enumerate(variants):
        dataset = deepcopy(plain)
        dataset.SOPInstanceUID = generate_uid()
        _small_picture(dataset, number)
        found = dict(_texts(dataset))
        for place, after in variant:
            owner, element = found[place]
            value = f"{element.value} {MARK}" if after else MARK
            owner[element.tag] = DataElement(element.tag, "LO", value)
        files.append(_write(dataset, folder / f"{number}.dcm"))
    return files


def _add_what_machines_write(dataset: Dataset) -> None:
    for keyword in ("ViewPosition", "BodyPartExamined", "PatientAge", "PatientSex", "Modality"):
        if not dataset.get(keyword):
            value = {"ViewPosition": "PA", "BodyPartExamined": "HAND"}
            value |= {"PatientAge": "058Y", "PatientSex": "F", "Modality": "DX"}
            setattr(dataset, keyword, value[keyword])
    for keyword in ("PresentationLUTShape", "VOILUTFunction", "StudyDescription"):
        if keyword not in dataset:
            setattr(dataset, keyword, "IDENTITY" if keyword.startswith("Pres") else "LINEAR")


def _texts(dataset: Dataset, above: tuple = ()) -> Iterator[tuple[tuple, tuple]]:
    """(place, (dataset, element)) of each text element, those of sequences too."""
    for element in dataset:
        place = (*above, element.tag)
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from _texts(item, (*place, number))
        elif element.VR not in _NUMBERS:
            yield place, (dataset, element)


def _small_picture(dataset: Dataset, seed: int) -> None:
    dataset.Rows = dataset.Columns = SIDE
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.PixelData = np.ascontiguousarray(film(seed, SIDE)).tobytes()
    dataset["PixelData"].VR = "OW"


def _write(dataset: Dataset, path: Path) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.file_meta = meta
    pydicom.dcmwrite(path, dataset, implicit_vr=True, little_endian=True, enforce_file_format=True)
    return path
