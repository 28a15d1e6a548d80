"""A kill anywhere changes nothing: the same call goes on and ends with the same bytes."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

from data_prep.dataset import worker as decode
from data_prep.dataset.journal import Journal
from data_prep.dataset.prepare import prepare
from data_prep.errors import UserError
from tests.data_prep.films.synthetic_dicom import BORN, NAME, PATIENT
from tests.data_prep.readers.archives import (
    archive,
    contents,
    dicom_archive,
    film,
    table_source,
    write_png,
)

KEY = bytes(range(32))
FAST = {"key": KEY, "size": 32, "workers": 0, "progress": False}


@pytest.fixture
def source(tmp_path):
    return table_source(*archive(tmp_path / "raw"))


class Killed(BaseException):
    """A kill, as far as the code can see it."""


def test_a_kill_at_any_step_then_the_same_call_ends_with_the_same_bytes(
    tmp_path, source, monkeypatch
):
    write_png(source.records[3].path, film(0))  # a duplicate
    source.records[4].path.write_bytes(b"damaged")
    prepare(source, tmp_path / "whole", **FAST)
    expected = contents(tmp_path / "whole")
    steps = 0
    while True:
        out = tmp_path / f"out{steps}"
        with monkeypatch.context() as patch:
            _kill_at(patch, steps)
            try:
                prepare(source, out, **FAST)
                break
            except Killed:
                pass
        prepare(source, out, **FAST)
        assert contents(out) == expected
        steps += 1
    assert steps > 20
    assert contents(out) == expected


def _kill_at(patch, step: int) -> None:
    """Die at the given one of all calls that change the disk, before and after it alike."""
    left = [step]

    def deadly(call):
        def wrapped(*args, **options):
            left[0] -= 1
            if left[0] == -1:
                raise Killed
            return call(*args, **options)

        return wrapped

    for name in ("os.replace", "os.link", "shutil.rmtree", "os.unlink"):
        module, attribute = name.split(".")
        patch.setattr(
            sys.modules[module], attribute, deadly(getattr(sys.modules[module], attribute))
        )
    patch.setattr(Journal, "add", deadly(Journal.add))


def test_a_torn_journal_and_a_lost_image_are_done_again(tmp_path, source, monkeypatch):
    prepare(source, tmp_path / "whole", **FAST)
    with monkeypatch.context() as patch:
        patch.setattr("data_prep.dataset.prepare.publish", _die)
        with pytest.raises(Killed):
            prepare(source, tmp_path / "out", **FAST)
    lines = tmp_path / "out" / ".prepare" / "journal.jsonl"
    content = lines.read_bytes()
    assert content.count(b"\n") == 6
    lines.write_bytes(content[:-20])
    next((tmp_path / "out" / ".prepare" / "staged").iterdir()).write_bytes(b"half")
    done = Counter()
    monkeypatch.setattr(
        "data_prep.dataset.prepare.prepare_file",
        lambda job, **o: _count(done, decode.prepare_file, job, **o),
    )
    prepare(source, tmp_path / "out", **FAST)
    assert 1 <= done["calls"] <= 2
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def _die(*_):
    raise Killed


def _count(counter, function, *args, **options):
    counter["calls"] += 1
    return function(*args, **options)


def test_what_another_version_began_is_told_to_be_removed(tmp_path, source, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("data_prep.dataset.prepare.publish", _die)
        with pytest.raises(Killed):
            prepare(source, tmp_path / "out", **FAST)
    begun = tmp_path / "out" / ".prepare" / "settings.json"
    facts = json.loads(begun.read_text())
    del facts["format"], facts["min_side"]
    begun.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"begun by another version .* Remove that folder"):
        prepare(source, tmp_path / "out", **FAST)


def test_an_unfinished_run_refuses_other_settings_but_takes_a_mended_table(
    tmp_path, source, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("data_prep.dataset.prepare.publish", _die)
        with pytest.raises(Killed):
            prepare(source, tmp_path / "out", **FAST)
    with pytest.raises(UserError, match=r"other settings \(--image-size, --pad\)"):
        prepare(source, tmp_path / "out", **{**FAST, "size": 48, "pad": True})
    mended = replace(source, records=[replace(r, codes=("1", "1")) for r in source.records[:4]])
    prepare(mended, tmp_path / "out", **FAST)
    prepare(mended, tmp_path / "whole", **FAST)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_nothing_lies_in_an_unfinished_folder_either(tmp_path, monkeypatch):
    source = dicom_archive(tmp_path / "raw")
    monkeypatch.setattr("data_prep.dataset.prepare.publish", _die)
    with pytest.raises(Killed):
        prepare(source, tmp_path / "out", **FAST)
    everything = b"".join(name.encode() + b for name, b in contents(tmp_path / "out").items())
    for word in (NAME, PATIENT, BORN, "1.2.826.0.1.77", ".dcm"):
        assert word.encode() not in everything


COMMAND = [sys.executable, "-c", "from cxrkeras.cli import main; main()", "prep", "table"]


def kill_and_resume(arguments, out, key, kills: int, latest: float, seed: int) -> int:
    """Kill the command at random moments (seconds after its start), then let it end."""
    chance = random.Random(seed)
    command = [*COMMAND, *map(str, arguments), "--out", str(out), "--key-file", str(key)]
    killed = 0
    for _ in range(kills):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            time.sleep(chance.uniform(0.3, latest))
            killed += run.poll() is None
            run.send_signal(signal.SIGKILL)
    subprocess.run(command, check=True, capture_output=True)
    return killed


def test_real_kills_change_no_byte(tmp_path):
    films, table = archive(tmp_path / "raw", 30)
    source = table_source(films, table, name="out")
    key = tmp_path / "key"
    key.write_text(KEY.hex())
    prepare(source, tmp_path / "whole" / "out", **{**FAST, "size": 64})
    arguments = ["--images", films, "--labels", table, "--image-size", 64, "--workers", 2]
    kill_and_resume(arguments, tmp_path / "out", key, kills=2, latest=2.0, seed=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole" / "out")


@pytest.mark.slow
@pytest.mark.real
def test_ten_kills_on_real_films_change_no_byte(tmp_path, real):
    arguments = [
        "--images",
        real("nih_target", "images"),
        "--labels",
        real("nih_target", "labels.csv"),
    ]
    key = tmp_path / "key"
    began = time.monotonic()
    kill_and_resume(arguments, tmp_path / "whole" / "out", key, kills=0, latest=0, seed=0)
    latest = (time.monotonic() - began) * 0.5
    killed = kill_and_resume(arguments, tmp_path / "out", key, kills=10, latest=latest, seed=7)
    assert killed >= 3
    assert contents(tmp_path / "out") == contents(tmp_path / "whole" / "out")
