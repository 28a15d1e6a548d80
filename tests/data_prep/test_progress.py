"""Progress: a bar on a terminal, few plain lines elsewhere."""

import io

import pytest

from data_prep.progress import Steps, duration
from data_prep.say import say


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


def test_plain_lines_tell_the_time_left_where_it_is_long(monkeypatch):
    clock = iter(range(0, 10_000, 60))
    monkeypatch.setattr("data_prep.progress.time.monotonic", lambda: next(clock))
    screen = Screen(terminal=False)
    monkeypatch.setattr("sys.stderr", screen)
    with Steps("films", 40, done=20) as steps:
        for _ in range(20):
            steps.step()
    lines = screen.getvalue().splitlines()
    assert lines[0] == "films: 20 of 40"
    assert lines[1] == "films: 24 of 40, about 8 min left"  # 2 minutes for 4 of them
    assert lines[-1] == "films: 40 of 40"


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
