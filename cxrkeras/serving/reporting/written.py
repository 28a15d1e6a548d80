"""What every DICOM object of ours says of itself, and its way into a file."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cxrkeras.serving.predict.answers import NOTICE
from cxrkeras.serving.reporting.said import NOBODY, Algorithm, uid_of
from data_prep.errors import RejectedFile
from data_prep.files import atomic_write_bytes
from data_prep.films.dicom import quiet

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from cxrkeras.serving.reporting.source import Source

EXTRA = ("highdicom", "dicom")
_LONGEST = 64  # characters of a LO
_CHARACTERS = "ISO_IR 192"  # UTF-8, which holds the names of any film


def equipment(algorithm: Algorithm, kind: str) -> dict:
    """What highdicom's constructors are told of the maker.

    Args:
        algorithm: that made it.
        kind: of the object, e.g. `findings`.
    """
    return {
        "manufacturer": algorithm.name,
        "manufacturer_model_name": algorithm.parameters[0][:_LONGEST],
        "software_versions": algorithm.version,
        "device_serial_number": algorithm.uid.rpartition(".")[2][:_LONGEST],
        "series_description": f"{algorithm.name} {kind}. {NOTICE}"[:_LONGEST],
        "specific_character_set": _CHARACTERS,
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",  # explicit little endian: all can read it
    }


def uids(source: "Source", algorithm: Algorithm, kind: str, content: str) -> dict[str, str]:
    """The UIDs of a series for each study and algorithm, and of an instance for each content.

    The same answer about the same film has the same UID, so an archive keeps one of two copies.
    """
    study, film = source.header.StudyInstanceUID, source.header.SOPInstanceUID
    return {
        "series_instance_uid": uid_of("series", kind, study, algorithm.uid),
        "sop_instance_uid": uid_of("instance", kind, film, algorithm.uid, content),
    }


def write(path: Path, make: Callable[[], "Dataset"]) -> None:
    """Write what `make` gives as a DICOM file, in one step.

    Raises:
        RejectedFile: the film's header has what can't be taken over; without any value.
    """
    content = io.BytesIO()
    with quiet():
        try:
            made = make()
            made.save_as(content, enforce_file_format=True)
        except Exception:  # highdicom and pydicom quote the header in whatever they raise
            raise RejectedFile("its header can't be taken over into a DICOM object") from None
    atomic_write_bytes(path, content.getvalue())


def comments(remarks: tuple[str, ...]) -> tuple[str, ...]:
    """What every object says first, then what is to be said of this one."""
    return (NOTICE, NOBODY, *remarks)
