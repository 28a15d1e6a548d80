"""`cxrkeras parts`: every kind, every part and every option is listed, from the parts alone."""

import subprocess
import sys

import pytest

from cxrkeras.cli import main
from cxrkeras.commands.parts import _kind_of, _word
from cxrkeras.registry import (
    HEADS,
    KINDS,
    OPERATIONS,
    POLICIES,
    PRESETS,
    READERS,
    RULES,
    TRANSFORMS,
)
from cxrkeras.runs.presets import preset_line, preset_names, preset_text
from tests.other_package import install

LIGHT = [
    (kind, name)
    for kind in (PRESETS, OPERATIONS, TRANSFORMS, POLICIES, RULES, READERS)
    for name in kind.names()
]


def said(capsys, *words, code=0) -> str:
    """What the verb prints, its lines joined."""
    with pytest.raises(SystemExit) as end:
        main(["parts", *words])
    assert end.value.code == code
    return " ".join("".join(capsys.readouterr()).split())


def test_every_kind_is_listed_with_its_count(capsys):
    shown = said(capsys)
    for kind in KINDS:
        assert f" {len(kind.names())} " in shown
        assert kind.argument.removeprefix("--") in shown


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_part_of_a_kind_is_listed_with_its_line_and_source(kind, capsys):
    for word in (kind.kind.replace(" ", "-"), kind.kind.split()[-1].upper()):
        shown = _flat(said(capsys, word))  # a line may break after a hyphen
        for name in kind.names():
            about = kind.about(name)
            assert _flat(name + about.line) in shown
            assert _flat(about.source) in shown


def test_published_systems_stand_beside_the_recipes(capsys):
    shown = _flat(said(capsys, "recipes"))
    for name in preset_names():
        assert _flat(name + preset_line(name)) in shown
    assert said(capsys, "recipe", "chexnet") == " ".join(preset_text("chexnet").split())
    assert "Did you mean 'chexnet'?" in said(capsys, "recipe", "chexnt", code=1)
    assert "Published systems" not in said(capsys, "heads")


def _flat(text: str) -> str:
    return "".join(text.split())


def test_several_are_meant_by_their_plural():
    words = ["heads", "augmentation-presets", "operations", "label_policies", "rules"]
    assert [_kind_of(word).kind.split()[-1] for word in words] == [
        "head", "preset", "operation", "policy", "rule"
    ]  # fmt: skip
    assert [_kind_of(_word(kind)) for kind in KINDS] == list(KINDS)


@pytest.mark.parametrize(("kind", "name"), LIGHT, ids=lambda value: getattr(value, "kind", value))
def test_every_option_of_a_part_is_shown_with_its_help(kind, name, capsys):
    shown = said(capsys, kind.kind.replace(" ", "-"), name)
    assert shown.startswith(f"{name}, a {kind.kind}")
    for field, facts in kind.load(name).model_fields.items():
        assert f" {field} {' '.join(facts.description.split())} [" in shown


def test_types_bounds_and_defaults_are_said(tmp_path, monkeypatch, capsys):
    source = (
        '"""Never."""\n'
        "from typing import Literal\n"
        "from cxrkeras.evaluation.rules import FittedRule\n"
        "from cxrkeras.registry import option\n"
        "class Part(FittedRule):\n"
        '    main = "share"\n'
        '    share: float = option(..., "Of it.", gt=0, le=1)\n'
        '    times: int | None = option(3, "As often.", ge=1, lt=9)\n'
        '    kinds: tuple[Literal["a", "b"], ...] = option((), "These.")\n'
        '    sure: bool = option(False, "Truly.")\n'
    )
    parts = {"cxrkeras.evaluation.rules/never": source}
    monkeypatch.syspath_prepend(str(install(tmp_path, parts, "no_rules")))
    monkeypatch.delitem(RULES.__dict__, "_places", raising=False)
    assert "never Never. (no_rules)" in said(capsys, "rules")
    shown = said(capsys, "rule", "never")
    for words in (
        "never, a threshold rule of no_rules Never.",
        "share Of it. [a number above 0, up to 1; may stand without its name; required]",
        "times As often. [a whole number at least 1, below 9; default 3]",
        "kinds These. [several, each a, b]",
        "sure Truly. [true or false; default False]",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "has no class Part on a base class of cxrkeras.evaluation.rules"),
        ("class Part: pass\n", "has no class Part on a base class of cxrkeras.evaluation.rules"),
        ("from cxrkeras.models.heads import Head as Part\n", "has no class Part on a base class"),
        ("import no_such_thing\n", "can't be imported: ModuleNotFoundError: No module named"),
        ("class Part(:\n", "can't be read: line 2: invalid syntax"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(source, reason, tmp_path, monkeypatch, capsys):
    package = f"broken_{abs(hash(source))}"
    parts = {"cxrkeras.evaluation.rules/broken": f'"""Never."""\n{source}'}
    monkeypatch.syspath_prepend(str(install(tmp_path, parts, package)))
    monkeypatch.delitem(RULES.__dict__, "_places", raising=False)
    shown = said(capsys, "rule", "broken", code=1)
    assert f"The threshold rule broken, the module {package}.broken, {reason}" in shown
    assert "Repair it, or remove it" in shown


def test_a_part_without_what_it_must_have_is_refused(tmp_path, monkeypatch, capsys):
    source = '"""Never."""\nfrom cxrkeras.models.heads import Head\nclass Part(Head): pass\n'
    parts = {"cxrkeras.models.heads/hollow": source}
    monkeypatch.syspath_prepend(str(install(tmp_path, parts, "hollow_heads")))
    monkeypatch.delitem(HEADS.__dict__, "_places", raising=False)
    assert "has a class Part without classify and features" in said(
        capsys, "head", "hollow", code=1
    )


def test_what_there_is_not_is_refused_with_what_there_is(capsys):
    assert "backbones, heads" in said(capsys, "nets", code=2)
    assert "Did you mean 'readers'?" in said(capsys, "raeders", code=2)
    assert "Did you mean 'youden'?" in said(capsys, "rules", "yuden", code=1)


def test_listing_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from cxrkeras.commands.parts import command\n"
        "from cxrkeras.registry import KINDS\n"
        "for words in ([], *([kind.kind] for kind in KINDS)):\n"
        "    assert not CliRunner().invoke(command, words).exit_code, words\n"
        "print({'keras', 'tensorflow', 'jax', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
