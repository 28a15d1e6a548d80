"""What a part of any kind must be."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cxrkeras.commands.parts import command
from cxrkeras.registry import KINDS, READERS
from cxrkeras.runs.experiment import Experiment
from data_prep.errors import UserError
from tests.parts.each import each, made, part_of


@each(*KINDS)
def test_it_says_what_it_is(part_id):
    kind, name = part_of(part_id)
    about = kind.about(name)
    assert about.name == name == kind.load(name).part_name()
    assert about.line.rstrip(")").endswith(".")
    assert "\n" not in about.line


@each(*KINDS)
def test_its_options_are_documented(part_id):
    kind, name = part_of(part_id)
    part = kind.load(name)
    shown = CliRunner().invoke(command, [kind.kind.replace(" ", "-"), name]).output
    for option, field in part.model_fields.items():
        assert field.description, option
        assert f"\n{option} " in shown
    assert part.main in ("", *part.model_fields)


@each(*KINDS)
def test_its_text_and_its_description_read_back(part_id, tmp_path):
    kind, name = part_of(part_id)
    part = made(part_id, tmp_path)
    again = type(part)(**part.model_dump())
    assert part == again
    assert hash(part) == hash(again)
    described = json.loads(json.dumps(part.described()))
    options = {} if isinstance(described, str) else described
    assert options.pop("name", described) == name
    assert kind.of(kind.load(name), options) == part
    if kind is not READERS:  # whose options are words of the command line, and hold paths
        assert kind.make(str(part).replace("=", ":", ":" not in str(part))) == part


@each(*KINDS)
def test_an_option_that_it_has_not_is_refused_in_a_line(part_id, tmp_path):
    kind, name = part_of(part_id)
    options = made(part_id, tmp_path).model_dump()
    with pytest.raises(UserError, match="has no option 'nothing_such'") as refused:
        kind.of(name, {**options, "nothing_such": 1})
    assert "\n" not in str(refused.value)


def test_what_is_used_by_default_is_named_and_checked_without_keras():
    parts = [
        (field.json_schema_extra["parts"].kind, text)
        for field in Experiment.model_fields.values()
        if field.json_schema_extra["parts"]
        for text in ([field.default] if isinstance(field.default, str) else field.default or ())
    ]
    assert len(parts) >= 4
    code = (
        "import sys\n"
        "from cxrkeras.registry import KINDS\n"
        "kinds = {kind.kind: kind for kind in KINDS}\n"
        f"for kind, text in {parts!r}: kinds[kind].make(text)\n"
        "assert not {'keras', 'tensorflow', 'jax'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
