"""What the page allows."""

from dataclasses import dataclass

from data_prep.films.admission import DEFAULT, Admission


@dataclass(frozen=True)
class Terms:
    """What the page allows.

    Attributes:
        limit: bytes of an upload.
        admission: what is accepted as a film.
        local: whether only this computer reaches it.
        for_server: whether a server prepares the films.
    """

    limit: int
    admission: Admission = DEFAULT
    local: bool = True
    for_server: bool = False

    @property
    def limit_mb(self) -> float:
        """The same in megabytes (MiB)."""
        return self.limit / 2**20
