"""What a file must be to be accepted as a film, and what reading it may cost.

One rule for all that read films: preparing, predicting, explaining, checking an export, the page.
"""

from dataclasses import dataclass

from data_prep.errors import RejectedFile

GB = 1 << 30
_BYTES_PER_PIXEL = 8  # three samples of 16 bits, and as much again for the header


@dataclass(frozen=True)
class Limits:
    """What a process may take for one item.

    Attributes:
        memory: bytes of address space beyond what it has taken before.
        seconds: of a processor, so that other load on the machine doesn't count.
    """

    memory: int
    seconds: int

    @property
    def too_greedy(self) -> str:
        """The reason for refusing an item that needed more memory."""
        return f"needs more than {self.memory / GB:g} GB of memory (--max-memory)"

    @property
    def too_slow(self) -> str:
        """The reason for refusing an item that needed more time."""
        return f"takes longer than {self.seconds} s to read (--max-seconds)"


@dataclass(frozen=True)
class Admission:
    """What is taken for a film.

    Attributes:
        any_body_part: also accept DICOM files whose header names another body part.
        any_modality: also accept DICOM files of modalities other than radiography.
        min_side: the least pixels on either side.
        max_pixels: the most pixels in a picture.
        max_memory: the most memory for reading it, in GB.
        max_seconds: the most processor time for reading it, in seconds.
    """

    any_body_part: bool = False
    any_modality: bool = False
    min_side: int = 24  # ChestMNIST has 28
    max_pixels: int = 100_000_000  # a chest film has 4 to 20 million
    max_memory: float = 2.0
    max_seconds: int = 60

    @property
    def limits(self) -> Limits:
        """Of the process that reads it."""
        return Limits(round(self.max_memory * GB), self.max_seconds)

    @property
    def max_bytes(self) -> int:
        """That a file may have, packed or unpacked: more than any film of so many pixels needs."""
        return self.max_pixels * _BYTES_PER_PIXEL

    def check_size(self, rows: int, columns: int) -> None:
        """Refuse a picture of a wrong size, before anything is decoded.

        Raises:
            RejectedFile: naming the bound.
        """
        if rows * columns > self.max_pixels:
            raise RejectedFile(
                f"{rows} x {columns} pixels: more than {_count(self.max_pixels)} (--max-pixels)"
            )
        if min(rows, columns) < self.min_side:
            raise RejectedFile(
                f"{rows} x {columns} pixels: a side below {self.min_side} (--min-side)"
            )

    def check_bytes(self, count: int, what: str) -> None:
        """Refuse a file that is too long.

        Args:
            count: its bytes.
            what: what they are, e.g. `the file`.

        Raises:
            RejectedFile: naming the bound.
        """
        if count > self.max_bytes:
            raise RejectedFile(
                f"{what} holds more than {self.max_bytes / GB:.2g} GB, {_BYTES_PER_PIXEL} bytes "
                "for each pixel allowed (--max-pixels)"
            )


DEFAULT = Admission()


def _count(pixels: int) -> str:
    million, rest = divmod(pixels, 1_000_000)
    return f"{million} million" if million and not rest else f"{pixels:,}"
