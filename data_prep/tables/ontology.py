"""The findings that archives label: names, synonyms and parents, as `findings.toml` has them."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from data_prep.errors import UserError

_FILE = Path(__file__).with_name("findings.toml")
_KEYS = ("synonyms", "parents", "any_of", "code")
_CODE = 3  # texts: scheme, code, meaning


@dataclass(frozen=True)
class Finding:
    """A finding.

    Attributes:
        name: ours.
        synonyms: other spellings.
        parents: the findings that a film shows which shows this one.
        any_of: the findings of which the name means any.
        code: in a public scheme: its DICOM designator, the code, its meaning there; or nothing.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    code: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ontology:
    """Findings, found by any spelling of them.

    Attributes:
        findings: by name.
    """

    findings: Mapping[str, Finding]
    _names: Mapping[str, str] = field(repr=False)

    def name_of(self, label: str) -> str | None:
        """Our name of a finding as some archive spells it; None where it has no place."""
        return self._names.get(folded(label))

    def ancestors(self, name: str) -> Iterator[str]:
        """Our names of what a film shows besides that shows this, the nearest first, each once."""
        seen, ahead = {name}, [name]
        for one in ahead:
            for parent in self.findings[one].parents if one in self.findings else ():
                if parent not in seen:
                    seen.add(parent)
                    ahead.append(parent)
                    yield parent


def folded(label: str) -> str:
    """`label` in lower case, with underscores, hyphens and repeated spaces as one space."""
    return re.sub(r"[\s_\-]+", " ", label).strip().casefold()


@cache
def ours() -> Ontology:
    """The findings of `findings.toml`."""
    return _checked(_read(_FILE), _FILE)


def ontology_of(path: Path | None) -> Ontology:
    """Our findings, or those with a user's over them.

    Args:
        path: TOML as `findings.toml`: a table per finding, its heading the name; `synonyms`,
            `parents`, `any_of` and `code` are lists of texts. A finding takes the place of ours of
            that name, and a spelling is taken from whichever of ours had it.

    Raises:
        UserError: it isn't such a file, a spelling has two meanings in it, a parent or part is no
            finding, a finding is its own ancestor, or two names are one finding of ours.
    """
    if path is None:
        return ours()
    theirs = _read(path)
    taken = _spellings(theirs, path)
    kept = {
        name: replace(
            finding, synonyms=tuple(one for one in finding.synonyms if folded(one) not in taken)
        )
        for name, finding in ours().findings.items()
        if folded(name) not in taken
    }
    renamed = {name: taken[folded(name)] for name in ours().findings if folded(name) in taken}
    kept = {name: _referring(finding, renamed) for name, finding in kept.items()}
    _check_apart((*kept, *theirs), path)
    return _checked({**kept, **theirs}, path)


def _check_apart(names: Iterable[str], path: Path) -> None:
    """Refuse two names that everything else takes for one: policies, graphs and scores by ours."""
    found: dict[str, str] = {}
    for name in names:
        meaning = ours().name_of(name) or name
        if (other := found.setdefault(meaning, name)) != name:
            raise UserError(
                f"{path.name}: {other!r} and {name!r} are names of one finding, {meaning}. Give "
                "the other one a name of its own, and this one as a synonym."
            )


def spellings_in(path: Path) -> dict[str, tuple[str, ...]]:
    """{finding: its other spellings} of a user's file alone; errors as in `ontology_of`."""
    return {name: finding.synonyms for name, finding in _read(path).items()}


def _referring(finding: Finding, renamed: Mapping[str, str]) -> Finding:
    """A finding whose parents and parts have the names that the user gave them."""
    parents, any_of = (
        tuple(renamed.get(one, one) for one in names) for names in (finding.parents, finding.any_of)
    )
    return replace(finding, parents=parents, any_of=any_of)


def _read(path: Path) -> dict[str, Finding]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}. Check its name.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} isn't TOML: {error}. Correct it.") from None
    return {name: _finding(name, table, path) for name, table in tables.items()}


def _checked(findings: dict[str, Finding], path: Path) -> Ontology:
    ontology = Ontology(findings, _spellings(findings, path))
    for finding in findings.values():
        for other in (*finding.parents, *finding.any_of):
            if other not in findings:
                raise UserError(
                    f"{path.name}: {finding.name!r} refers to {other!r}, which is no finding of "
                    "it or of ours. Add it, or use its name."
                )
        above = (finding.name, *ontology.ancestors(finding.name))
        if any(finding.name in findings[name].parents for name in above):
            raise UserError(
                f"{path.name}: {finding.name!r} is its own ancestor. Correct its parents."
            )
    return ontology


def _finding(name: str, table: object, path: Path) -> Finding:
    ok = isinstance(table, dict) and all(
        key in _KEYS and isinstance(value, list) and all(isinstance(one, str) for one in value)
        for key, value in table.items()
    )
    if not ok:
        raise UserError(
            f"{path.name}: a finding has the lists of texts {', '.join(_KEYS)}, and nothing else. "
            f"Received: {name!r}."
        )
    if len(table.get("code", ())) not in (0, _CODE):
        raise UserError(
            f"{path.name}: `code` has three texts, the scheme, the code and its meaning. Received: "
            f"{name!r}."
        )
    return Finding(name, **{key: tuple(value) for key, value in table.items()})


def _spellings(findings: Mapping[str, Finding], path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for finding in findings.values():
        for spelling in dict.fromkeys(map(folded, (finding.name, *finding.synonyms))):
            if names.setdefault(spelling, finding.name) != finding.name:
                raise UserError(
                    f"{path.name}: {spelling!r} means {names[spelling]!r} and {finding.name!r}. "
                    "Choose one."
                )
    return names
