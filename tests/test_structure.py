"""The shape of the code: imports go down only and in no circle, folders stay small."""

import ast
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

# From the ground up; an import goes to the same floor or below. Nobody imports `commands`.
FLOORS = (
    {"data_prep"},
    {"cxrkeras", "cxrkeras.runtime"},
    {"cxrkeras.data", "cxrkeras.evaluation"},
    {"cxrkeras.runs"},
    {"cxrkeras.models"},
    {"cxrkeras.training"},
    {"cxrkeras.serving", "cxrkeras.study"},
    {"cxrkeras.face"},
    {"cxrkeras.commands"},
    {"cxrkeras.cli"},
)
LARGEST = 12
# Folders that are lists: a part or a verb per file.
LISTS = {
    "cxrkeras/commands",
    "cxrkeras/data/augmentation",
    "cxrkeras/data/augmentation/operations",
    "cxrkeras/data/labels/policies",
    "cxrkeras/data/transforms",
    "cxrkeras/models/backbones",
    "cxrkeras/models/heads",
    "cxrkeras/models/losses",
    "cxrkeras/training/recipes",
    "cxrkeras/evaluation/rules",
    "data_prep/readers",
    "data_prep/phantom",
}


def _modules() -> dict[str, Path]:
    paths = [path for name in ("cxrkeras", "data_prep") for path in (ROOT / name).rglob("*.py")]
    return {_name(path): path for path in paths}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = _modules()


@cache  # parsed when the tests run, by the one process that runs them
def _imports(module: str) -> set[str]:
    """What a module imports of this project, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: imports are absolute here"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return {name for name in found if name in MODULES and name != module}


def _floor(module: str) -> int:
    for number, floor in enumerate(FLOORS):
        if any(module == name or module.startswith(f"{name}.") for name in floor - {"cxrkeras"}):
            return number
    return next(number for number, floor in enumerate(FLOORS) if "cxrkeras" in floor)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_climbs(module):
    assert not {name for name in _imports(module) if _floor(name) > _floor(module)}


def test_no_circle_of_imports():
    done, path = set(), []

    def visit(module):
        if module in path:
            pytest.fail(" -> ".join([*path[path.index(module) :], module]))
        if module not in done:
            path.append(module)
            for name in sorted(_imports(module)):
                visit(name)
            done.add(path.pop())

    for module in sorted(MODULES):
        visit(module)


def test_no_folder_is_too_large():
    counts = Counter(
        path.parent.relative_to(ROOT).as_posix()
        for path in MODULES.values()
        if path.name != "__init__.py"
    )
    large = {folder: n for folder, n in counts.items() if n > LARGEST and folder not in LISTS}
    assert not large


def test_no_three_modules_share_a_prefix():
    families = defaultdict(set)
    for path in MODULES.values():
        prefix, found, _ = path.stem.partition("_")
        if found and prefix:
            families[path.parent, prefix].add(path.name)
        elif path.name != "__init__.py":
            families[path.parent, path.stem].add(path.name)
    assert not [sorted(names) for names in families.values() if len(names) > 2]


@pytest.mark.parametrize(
    "name", ["_keras_history", "_inbound_nodes", "_nodes_by_depth", "_run_through_graph"]
)
def test_private_names_of_keras_stand_in_one_module(name):
    found = {m for m, path in MODULES.items() if f".{name}" in path.read_text(encoding="utf-8")}
    assert found == {"cxrkeras.models.graph"}
