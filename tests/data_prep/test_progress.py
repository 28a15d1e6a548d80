"""Progress: a bar on a terminal, few plain lines elsewhere."""

import io
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from data_prep.errors import UserError
from data_prep.progress import Steps, duration, rate
from data_prep.say import detail, logged, note, say
from data_prep.verbosity import DETAILED, QUIET, said_as


class Screen(io.StringIO):
    """A standard error that may be a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def count(monkeypatch, terminal: bool, **options) -> str:
    screen = Screen(terminal)
    monkeypatch.setattr("sys.stderr", screen)
    with Steps("films", 200, **options) as steps:
        for _ in range(steps.total - steps.done):
            steps.step()
    return screen.getvalue()


def test_plain_lines_come_about_ten_times(monkeypatch):
    lines = count(monkeypatch, terminal=False).splitlines()
    assert lines == [f"films: {done} of 200" for done in range(0, 201, 20)]


def test_a_resumed_job_starts_where_it_was(monkeypatch):
    assert count(monkeypatch, terminal=False, done=150).splitlines()[0] == "films: 150 of 200"


def timed(monkeypatch, seconds: float, **options) -> list[str]:
    """The plain lines of a job of 40 steps, half of them done before, of so many seconds each."""
    now = [0.0]
    monkeypatch.setattr("data_prep.progress.time.monotonic", lambda: now[0])
    screen = Screen(terminal=False)
    monkeypatch.setattr("sys.stderr", screen)
    with Steps("films", 40, done=20, **options) as steps:
        for _ in range(20):
            now[0] += seconds
            steps.step()
    return screen.getvalue().splitlines()


def test_plain_lines_tell_rate_and_time_left_where_it_is_long(monkeypatch):
    lines = timed(monkeypatch, 10)
    assert lines[0] == "films: 20 of 40"
    assert lines[1] == "films: 24 of 40, 6.0 per min, about 3 min left"
    assert lines[-2:] == ["films: 36 of 40", "films: 40 of 40"]  # the rest takes 40 s


def test_nobody_waits_for_longer_than_a_minute(monkeypatch):
    assert len(timed(monkeypatch, 100)) == 21
    assert timed(monkeypatch, 10, transient=True) == [
        "films: 26 of 40, 6.0 per min, about 2 min left",
        "films: 32 of 40, 6.0 per min, about 80 s left",
        "films: 38 of 40",
    ]
    assert timed(monkeypatch, 1, transient=True) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.001, "1,000 per s"),
        (0.5, "2.0 per s"),
        (2, "30 per min"),
        (90, "40 per h"),
        (7200, "0.5 per h"),
    ],
)
def test_a_rate_is_told_in_the_unit_that_suits_it(seconds, said):
    assert rate(seconds) == said


def test_quiet_leaves_warnings_alone(monkeypatch):
    screen = Screen(terminal=True)
    monkeypatch.setattr("sys.stderr", screen)
    with said_as(QUIET):
        with Steps("films", 3) as steps:
            steps.step()
        say("a line")
        detail("a detail")
        say("Warning: one")
        say("fold 1/2 | Warning: two")
    assert screen.getvalue() == "Warning: one\nfold 1/2 | Warning: two\n"
    detail("a detail")
    with said_as(DETAILED):
        detail("another")
    assert screen.getvalue().splitlines()[2:] == ["another"]


def stopped_by(error: Exception, path: Path) -> None:
    """Say a few things, of which a log gets all, and stop."""
    with said_as(QUIET), logged(path) as log:
        say("Warning: before")
        log.open()
        detail("a detail")
        note("for the log")
        raise error


def test_a_log_has_all_with_the_moments_and_is_appended_to(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stderr", Screen(terminal=False))
    path = tmp_path / "train.log"
    for error in (UserError("The rule. Received: x."), OSError("Jane Doe")):
        with pytest.raises(type(error)):
            stopped_by(error, path)
    say("after")
    words = ["Warning: before", "a detail", "for the log"]
    words = [*words, "Stopped: The rule. Received: x.", *words, "Stopped: OSError"]
    lines = [line.partition(" ") for line in path.read_text().splitlines()]
    assert [text for _, _, text in lines] == words
    for moment, _, _ in lines:
        assert datetime.fromisoformat(moment).utcoffset() == timedelta(0)


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    with logged(tmp_path / "missing" / "train.log") as log:
        log.open()
        say("a line")


def test_a_terminal_gets_a_bar(monkeypatch):
    shown = count(monkeypatch, terminal=True)
    assert "200/200" in shown
    assert "of 200" not in shown


@pytest.mark.parametrize("options", [{"shown": False}, {"done": 200}])
def test_silence_where_nothing_is_to_be_said(monkeypatch, options):
    assert count(monkeypatch, terminal=False, **options) == ""


def test_a_transient_job_leaves_nothing_to_read(monkeypatch):
    assert count(monkeypatch, terminal=False, transient=True) == ""
    assert "200" not in count(monkeypatch, terminal=True, transient=True)


def test_closing_twice_is_closing_once(monkeypatch):
    screen = Screen(terminal=True)
    monkeypatch.setattr("sys.stderr", screen)
    steps = Steps("films", 2).start()
    steps.close()
    shown = screen.getvalue()
    steps.close()
    assert screen.getvalue() == shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is back


@pytest.mark.parametrize("text", ["[bold]x[/bold]", ":warning: 12", "a" * 300, "é [/x] 50%"])
def test_a_line_is_said_as_it_is(monkeypatch, text):
    screen = Screen(terminal=False)
    monkeypatch.setattr("sys.stderr", screen)
    say(text)
    assert screen.getvalue() == text + "\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (12_000, "3 h 20 min")],
)
def test_a_duration_is_said_for_planning(seconds, said):
    assert duration(seconds) == said
