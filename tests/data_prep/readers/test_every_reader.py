"""What every reader must be, our own and those of installed packages; one of somebody else's."""

import os
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from cxrkeras.cli import main
from cxrkeras.commands.prep.verbs import command
from cxrkeras.data.dataset import load_dataset
from cxrkeras.registry import READERS
from data_prep.errors import UserError
from data_prep.films.views import CHOICES
from data_prep.readers.shared.example import write_film
from data_prep.readers.shared.marks import marks_in
from data_prep.tables.vocabulary import canonical
from tests.docs.commands import parsed
from tests.other_package import install, said_to

every_reader = pytest.mark.parametrize("name", READERS.names())


def words_of(reader, raw: Path) -> list[str]:
    """The reader and its options as the command line has them."""
    words = [str(raw)] if reader.archive else ["--images", str(raw)]
    for name, value in reader.changed().items():
        option = "--" + name.replace("_", "-")
        values = value if isinstance(value, list) else [value]
        words += [w for v in values for w in ([option] if v is True else [option, str(v)])]
    return words


def run(*words) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(["prep", *map(str, words)])
    return exit_.value.code


@every_reader
def test_it_says_what_it_reads_from_where_and_how(name):
    about, verb = READERS.about(name), command.get_command(None, name)
    assert about.line.endswith(".")
    assert f"  cxrkeras prep {name} " in verb.help
    reader = READERS.load(name)
    assert reader.default_views in CHOICES
    assert reader.archive or not reader.public  # somebody's own patients aren't
    if reader.archive:
        assert about.source
        assert "Download: " in verb.help
        assert "Terms: " in verb.help


@every_reader
def test_its_options_have_help_and_names_of_their_own(name):
    assert all(field.description for field in READERS.load(name).model_fields.values())
    names = [parameter.name for parameter in command.get_command(None, name).params]
    assert len(set(names)) == len(names)


@every_reader
def test_its_example_is_read_alike_again(name, tmp_path):
    raw, reader = READERS.load(name).example(tmp_path)
    source = reader.read(raw, "an example")
    assert source == reader.read(raw, "an example")
    assert source.name == "an example"
    assert len(set(source.labels)) == len(source.labels) > 0
    assert source.records
    assert len({record.key for record in source.records}) == len(source.records)
    for record in source.records:
        assert record.path.is_file()
        assert len(record.codes) == len(source.labels)
        assert set(record.codes) <= {"1", "0", "-1", ""}
    assert source.origin
    assert bool(source.citation) == reader.archive


@every_reader
def test_its_example_is_prepared_and_private_names_stay_private(
    name, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CXRKERAS_KEY_FILE", str(tmp_path / "key"))
    raw, reader = READERS.load(name).example(tmp_path / "raw")
    out = tmp_path / "out"
    words = [name, *words_of(reader, raw), "--out", out, "--image-size", 32, "--workers", 0]
    assert run(*words) == 0
    assert f"Next: {reader.next_step(out)}" in capsys.readouterr().out
    assert parsed(shlex.split(reader.next_step(out).splitlines()[0])[1:])
    source, dataset = reader.read(raw, "out"), load_dataset(out)
    assert dataset.labels == source.labels
    assert len(dataset.images) == len(source.records)
    known = {record.patient for record in source.records} - {None}
    assert (known <= set(dataset.patients)) if reader.public else not known & set(dataset.patients)
    assert run(*words) == 0
    assert "already prepared, nothing done" in capsys.readouterr().out


@every_reader
def test_where_nothing_lies_it_says_so(name, tmp_path):
    _, reader = READERS.load(name).example(tmp_path / "raw")
    for empty in (tmp_path / "empty", tmp_path / "none"):
        if empty.name == "empty":
            empty.mkdir()
        with pytest.raises(UserError) as error:
            reader.read(empty, "x")
        assert "\n" not in str(error.value)


@every_reader
def test_its_findings_are_the_labels_it_gives(name, tmp_path):
    part = READERS.load(name)
    given = {label for label in part.findings.values() if label}
    meanings = Counter(map(canonical, given))
    assert [meaning for meaning, count in meanings.items() if count > 1] == []
    raw, reader = part.example(tmp_path)
    if given:
        assert set(reader.read(raw, "x").labels) <= given
    assert bool(part.marks) == part.archive


@every_reader
def test_its_folder_is_known_by_its_marks_alone(name, tmp_path, capsys):
    part = READERS.load(name)
    raw, _ = part.example(tmp_path / "raw")
    if part.marks:
        for folder in (raw, raw.parent):
            assert run("auto", folder) == 0
            said = capsys.readouterr().out
            assert f"Next: cxrkeras prep {name} {folder} --out data/{name}" in said
            assert said.count("Next: ") == 1
            assert "Terms: " in said
    else:
        assert run("auto", raw) == 1


@every_reader
def test_another_archive_s_folder_is_refused_with_the_cure(name, tmp_path):
    part = READERS.load(name)
    marked = [other for other in READERS.names() if READERS.load(other).marks]
    if not part.marks:
        return
    other = marked[marked.index(name) - 1]  # each is somebody's other
    raw, _ = READERS.load(other).example(tmp_path)
    assert not marks_in(raw, part.marks)
    with pytest.raises(UserError) as error:
        part().read(raw, "x")
    assert "\n" not in str(error.value)
    assert str(raw) in str(error.value)


@every_reader
def test_a_part_of_it_will_do(name, tmp_path):
    raw, reader = READERS.load(name).example(tmp_path)
    whole = reader.read(raw, "x")
    whole.records[0].path.unlink()
    part = reader.read(raw, "x")
    assert [record.key for record in part.records] == [record.key for record in whole.records[1:]]


@pytest.mark.real
@every_reader
def test_real_films_under_its_names_are_prepared(name, tmp_path, monkeypatch, real):
    monkeypatch.setenv("CXRKERAS_KEY_FILE", str(tmp_path / "key"))
    raw, reader = READERS.load(name).example(tmp_path / "raw")
    films = sorted(real("nih_target", "images").glob("*.png"))
    pictures = [record.path for record in reader.read(raw, "x").records]
    for number, path in enumerate(pictures):
        if path.suffix in (".png", ".jpg"):
            with Image.open(films[37 * number]) as film:
                film.convert("L").resize((128, 128)).save(path)
    out = tmp_path / "out"
    words = [name, *words_of(reader, raw), "--out", out, "--image-size", 64, "--workers", 0]
    assert run(*words, "--findings", "ours" if reader.findings and name != "eda" else "own") == 0
    assert len(load_dataset(out).images) == len(pictures)


def test_the_command_to_run_can_be_pasted(tmp_path, capsys):
    raw, _ = READERS.load("siim").example(tmp_path / "my films")
    assert run("auto", raw) == 0
    assert f"Next: cxrkeras prep siim '{raw}' --out data/siim" in capsys.readouterr().out


def test_no_archive_is_told_what_was_looked_for(tmp_path, capsys):
    assert run("auto", tmp_path) == 1
    said = capsys.readouterr()
    assert "  nih " in said.out
    assert "none of the archives known here" in said.err
    assert run("auto", tmp_path / "none") == 1


def test_no_help_imports_what_is_heavy():
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from cxrkeras.commands.prep.verbs import command\n"
        "from cxrkeras.registry import READERS\n"
        "shown = CliRunner().invoke(command, ['--help']).output\n"
        "print({module for module in sys.modules if module.startswith('data_prep.readers.')})\n"
        "for verb in READERS.names():\n"
        "    assert verb in shown\n"
        "    assert not CliRunner().invoke(command, [verb, '--help']).exit_code\n"
        "print({'numpy', 'pandas', 'pydicom', 'PIL', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shared = {f"data_prep.readers.shared{end}" for end in ("", ".records")}
    assert eval(done.stdout.splitlines()[0]) == shared
    assert done.stdout.splitlines()[1] == "set()"


THEIRS = '''"""Films of a hospital by the sea: a file of findings a film.

ROOT holds NAME.png and NAME.txt.

Download: https://example.org
Terms: none

Source: Somebody, 2026.

Examples:
  cxrkeras prep seaside ROOT --out data/seaside
"""

from pathlib import Path
from typing import Literal

from data_prep.readers import Reader
from data_prep.readers.shared.example import write_film
from data_prep.readers.shared.records import Record, Source
from data_prep.registry import option


class Part(Reader):
    public = False
    default_views = "frontal"

    age: float | None = option(None, "Years of everybody.", gt=0, le=100, metavar="YEARS")
    words: tuple[str, ...] = option(("fog", "sun"), "The labels, separated by commas.")
    tide: Literal["high", "low"] = option("high", "When.")
    swim: bool = option(True, "Whether to swim.")

    def read(self, raw, name):
        records = [
            Record(path, path.stem, tuple("01"[w in path.with_suffix(".txt").read_text()]
                   for w in self.words), patient=path.stem, age=self.age, view=self.tide)
            for path in sorted(raw.glob("*.png"))
        ]
        return Source(name, self.words, records, [], "the sea", self.citation_said())
'''


def test_a_reader_of_another_package_is_a_verb(tmp_path):
    place, raw = install(tmp_path / "site", {"data_prep.readers/seaside": THEIRS}), tmp_path / "raw"
    for number, words in enumerate(("fog rain", "og rain", "g rain")):
        write_film(raw / f"s{number}.png", number)
        (raw / f"s{number}.txt").write_text(words)
    fixed = ["prep", "seaside", raw, "--out", tmp_path / "out", "--image-size", 32, "--workers", 0]
    told = said_to(
        [
            ["prep", "--help"],
            ["prep", "seaside", "--help-all"],
            [*fixed, "--age", 0],
            [*fixed, "--age", 50, "--words", "fog,rain"],
        ],
        tmp_path,
        os.pathsep.join([str(place), *sys.path]),
    )
    assert [code for code, _ in told] == [0, 0, 2, 0], told
    listed, shown, refused, prepared = (said for _, said in told)
    listed = " ".join(listed.split())
    assert "seaside Films of a hospital by the sea: a file of findings a film. (theirs)" in listed
    assert "--age YEARS" in shown
    for words in ("[0<x<=100]", "[high|low]", "--swim / --no-swim", "--public", "frontal]", "ROOT"):
        assert words in shown.replace("\n", "")
    assert "0<x<=100" in refused
    assert "prepared: 3 images of 3 patients" in prepared
    data = load_dataset(tmp_path / "out")
    assert data.labels == ("fog", "rain")
    assert data.codes.tolist() == [[1, 1], [0, 1], [0, 1]]
    assert not {"s0", "s1", "s2"} & set(data.patients)
