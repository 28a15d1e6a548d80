"""Which patients are one person: two patient numbers that share a copy of one film."""

from collections.abc import Callable
from dataclasses import dataclass

from data_prep.dataset.copies.duplicates import Duplicate


@dataclass(frozen=True)
class Persons:
    """What copies say of patients.

    Attributes:
        patients: of each record; where copies were followed, one for each person.
        linked: copies whose two records had different patients, or one of them none.
        numbers: how many known patients are `people` in truth.
        followed: whether such patients were made one.
        aliases: then, of each name that so went, the one that stays: another dataset may hold it.
    """

    patients: dict[int, str]
    linked: frozenset[Duplicate]
    numbers: int
    people: int
    followed: bool
    aliases: dict[str, str]

    def word(self, duplicate: Duplicate) -> str:
        """What `duplicates.csv` says of a copy's patients."""
        if duplicate not in self.linked:
            return ""
        return "merged" if self.followed else "apart"

    def note(self, image_of: dict[int, str]) -> str | None:
        """What a person should see, with names of images and no patient."""
        if not self.linked:
            return None
        images = sorted({image_of[duplicate.kept] for duplicate in self.linked})
        named = ", ".join([*images[:3], *["…"] * (len(images) > 3)])
        found = f"{len(self.linked)} films have a copy under another patient ({named})"
        if not self.followed:
            return (
                f"{found}: one person may be in two folds; see duplicates.csv, and --merge-patients"
            )
        merged = (
            f"{self.numbers} patient numbers are now {self.people}"
            if self.people
            else ("images without a patient have their copy's")
        )
        return f"{found}: {merged}; see duplicates.csv, and give --keep-patients if that is wrong"


def persons(
    patients: dict[int, str],
    duplicates: list[Duplicate],
    one_film: Callable[[Duplicate], bool],
    *,
    merge: bool,
) -> Persons:
    """Find patients who are one person, and make them one.

    Args:
        patients: of each record, blank where unknown.
        duplicates: copies among the records.
        one_film: whether a copy shows the same film, not only the same name or an empty picture.
        merge: make such patients one: the first in order of the alphabet, shorter ones first, so
            that the order of the files doesn't matter. An image without a patient gets its copy's.
    """
    linked = frozenset(
        d for d in duplicates if patients[d.kept] != patients[d.dropped] and one_film(d)
    )
    nodes = {n: patient or n for n, patient in patients.items()}
    groups = {nodes[n]: {nodes[n]} for d in linked for n in (d.kept, d.dropped)}
    for duplicate in linked:
        pair = groups[nodes[duplicate.kept]], groups[nodes[duplicate.dropped]]
        small, large = sorted(pair, key=len)  # else one number with many copies costs their square
        if small is not large:
            large |= small
            groups |= dict.fromkeys(small, large)
    one, several = {}, {}
    for group in {id(group): group for group in groups.values()}.values():  # each once
        names = [node for node in group if isinstance(node, str)]
        kept = min(names, key=_order, default="")
        one |= dict.fromkeys(group, kept)
        if len(names) > 1:
            several[kept] = names
    aliases = {n: kept for kept, names in several.items() for n in names if n != kept}
    return Persons(
        {n: one.get(nodes[n], patient) for n, patient in patients.items()} if merge else patients,
        linked,
        numbers=sum(map(len, several.values())),
        people=len(several),
        followed=merge,
        aliases=aliases if merge else {},
    )


def _order(name: str) -> tuple[int, str]:
    return len(name), name
