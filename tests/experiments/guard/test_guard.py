"""The guard as a command, on a package that answers as cxrkeras does and imports nothing heavy."""

import os
import subprocess
import sys

import pytest

from experiments.guard import __main__ as guard

CLI = """
import sys
from pathlib import Path
OPTION = "{option}"
def main():
    verb, words = sys.argv[1], sys.argv[2:]
    if words[-1] == "--help-all":
        sys.exit("No such option")
    if "--help" in words:
        print("Options:\\n  " + OPTION + " [cam]  How.\\n  --out PATH")
        return
    out = Path(words[words.index("--out") + 1])
    out.mkdir(parents=True)
    if verb == "prep":
        (out / "phantom.json").write_text("{{}}")
    elif verb == "cv":
        Path("{count}").open("a").write("x")
        (out / "predictions.csv").write_text("image,prob\\na,{probability}\\n")
        {then}
    else:
        assert OPTION in words, words
        (out / "explained.csv").write_text("map\\n" + words[words.index(OPTION) + 1] + "\\n")
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A checkout whose last commit is the reference."""
    root = tmp_path / "checkout"

    def write(option="--method", probability="0.5", then="pass"):
        for package in ("cxrkeras", "data_prep"):
            (root / package).mkdir(parents=True, exist_ok=True)
            (root / package / "__init__.py").write_text("")
        words = {"option": option, "probability": probability, "then": then}
        (root / "cxrkeras" / "cli.py").write_text(CLI.format(**words, count=tmp_path / "count"))
        return root

    write()
    author = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
    environment = {**os.environ, **author, "GIT_COMMITTER_EMAIL": "a@b"}
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", "-C", root, *words], check=True, env=environment)
    monkeypatch.setattr(guard, "ROOT", root)
    return write


@pytest.fixture
def compare(tmp_path, monkeypatch, capsys, repository):
    def run(*words: str, only: str = "tiny,maps") -> tuple[int, str]:
        work = ["--work", str(tmp_path / "work"), "--tree", str(tmp_path / "checkout")]
        monkeypatch.setattr(sys, "argv", ["guard", "HEAD", *work, "--only", only, *words])
        with pytest.raises(SystemExit) as end:
            guard.main()
        return end.value.code, capsys.readouterr().out

    return run


def test_the_same_code_gives_the_same_and_nothing_is_run_twice(compare, tmp_path):
    code, said = compare()
    assert code == 0, said
    assert "tiny: 3 equal" in said
    assert "Nothing differs." in said
    runs = (tmp_path / "count").read_text()
    assert len(runs) == 6
    code, said = compare()
    assert code == 0
    assert said.count("kept, it was run before") == 4
    assert (tmp_path / "count").read_text() == runs
    (summary,) = (tmp_path / "work").glob("tree-*/summary.txt")
    assert said.endswith(summary.read_text())


def test_another_number_is_found_and_how_far_it_lies(compare, repository):
    repository(probability="0.50000003")
    code, said = compare()
    assert code == 1
    assert "differs: cotrain/predictions.csv: 1 of 1 numbers differ by up to 3.0e-08" in said
    assert "maps: 3 equal" in said


def test_an_option_is_called_by_the_name_that_the_code_knows(compare, repository):
    repository(option="--map")
    code, said = compare()
    assert code == 0, said


def test_a_case_that_fails_is_told_and_the_others_go_on(compare, repository):
    repository(then="sys.exit('no films')")
    code, said = compare(only="tiny,maps,study")
    assert code == 1
    assert "no films" in said
    assert "maps: left out, it needs tiny, which didn't end here" in said
    assert "tiny: not compared, it didn't end in tree-" in said
    repository()
    assert compare()[0] == 0


def test_a_case_that_failed_is_run_again(compare, repository, tmp_path):
    repository(then=f"assert not Path({str(tmp_path / 'stop')!r}).exists()")
    (tmp_path / "stop").touch()
    assert compare()[0] == 1
    (tmp_path / "stop").unlink()
    assert compare()[0] == 0


def test_what_a_case_needs_is_run_before_it(compare):
    code, said = compare(only="maps")
    assert code == 0, said
    assert "tiny: done" in said


def test_building_runs_the_commit_alone(compare, tmp_path):
    code, _said = compare("--build")
    assert code == 0
    assert not list((tmp_path / "work").glob("tree-*"))


def test_a_case_that_needs_what_is_not_there_says_so(compare, monkeypatch):
    monkeypatch.setenv("CXRKERAS_REAL_DATA", "nowhere")
    code, said = compare(only="frozen")
    assert code == 1
    assert "frozen: left out, it needs an Xception trunk: --trunk FILE.keras" in said


def test_an_unknown_case_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["guard", "HEAD", "--only", "tinny"])
    with pytest.raises(SystemExit):
        guard.main()
    assert "there is no case 'tinny', only tiny" in capsys.readouterr().err
