"""What the page allows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """What the page allows.

    Attributes:
        limit: bytes of an upload.
        any_body_part: whether DICOM films of other body parts are taken.
        local: whether only this computer reaches it.
        for_server: whether a server prepares the films.
    """

    limit: int
    any_body_part: bool = False
    local: bool = True
    for_server: bool = False

    @property
    def limit_mb(self) -> float:
        """The same in megabytes (MiB)."""
        return self.limit / 2**20
