"""Options under their old names: read, with a warning, and in no help."""

import pytest

from cxrkeras.cli import main
from cxrkeras.commands.shared.old_words import OLD, in_todays_words


def helped(capsys, *verb: str) -> str:
    with pytest.raises(SystemExit):
        main([*verb, "--help-all"])
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", OLD, ids=" ".join)
def test_an_old_name_is_turned_into_one_that_the_verb_has(verb, capsys):
    shown = helped(capsys, *verb, *(("table",) if verb == ("prep",) else ()))
    for old, new in OLD[verb].items():
        assert f"  {new} " in shown
        assert in_todays_words([*verb, old, "x", f"{old}=y"]) == [*verb, new, "x", f"{new}=y"]
        assert f"Warning: {old} is now {new}." in capsys.readouterr().err


def test_only_that_verb_s_options_are_renamed(capsys):
    words = ["prep", "table", "--labels", "l.csv", "--image-size", "64"]
    assert in_todays_words(words) == words
    words = ["evaluate", "--labels", "l.csv", "--", "--size"]
    assert in_todays_words(words) == words
    words = ["prep", "table", "--", "--size"]
    assert in_todays_words(words) == words
    assert not capsys.readouterr().err


def test_a_command_takes_the_old_name(capsys, tmp_path):
    words = ["prep", "phantom", "--out", str(tmp_path), "--size", "3"]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "--size is now --image-size" in capsys.readouterr().err
