"""What the labels of several datasets mean: the vocabulary, and a user's own over it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from data_prep.errors import UserError
from data_prep.tables.vocabulary import canonical, folded


@dataclass(frozen=True)
class Meanings:
    """The finding that each label stands for.

    Args:
        names: {folded spelling: the user's name of the finding}; others mean what `canonical` says.
    """

    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, vocabularies: Iterable[Mapping[str, Iterable[str]]]) -> "Meanings":
        """Those of several users' vocabularies together.

        Args:
            vocabularies: {finding: its other spellings} of each.

        Raises:
            UserError: a spelling has two meanings.
        """
        names: dict[str, str] = {}
        for vocabulary in vocabularies:
            for name, others in vocabulary.items():
                for spelling in map(folded, (name, *others)):
                    if folded(names.setdefault(spelling, name)) != folded(name):
                        raise UserError(
                            f"{spelling!r} means {names[spelling]!r} in one dataset's findings "
                            f"and {name!r} in another's. Prepare both with the same --findings."
                        )
        return cls(names)

    def __call__(self, label: str) -> str:
        """The finding's name, by which labels of several datasets can be compared.

        Where a user's name differs from the vocabulary's in capitals or hyphens only, it's that.
        """
        name = self.names.get(folded(label))
        known = canonical(name or label)
        return name if name and folded(name) != folded(known) else known

    def used(self, labels: Iterable[str]) -> dict[str, str]:
        """{label: finding} where a user's vocabulary makes a difference."""
        return {label: self(label) for label in labels if self(label) != canonical(label)}
