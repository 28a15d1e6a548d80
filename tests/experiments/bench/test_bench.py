"""The runner, its rows and its page; each measurement in the smoke size."""

import pytest

from experiments.bench import MEASUREMENTS, Row, Stand
from experiments.bench.__main__ import main
from experiments.bench.shared import page
from experiments.bench.shared.row import figure, spread


def test_a_ratio_is_taken_within_each_repeat_and_its_median_judged():
    row = Row("a", "s", [1.0, 9.0, 2.0], [2.0, 10.0, 1.0], against="it", at_most=0.9)
    assert row.ratios == [0.5, 0.9, 2.0]
    assert row.met
    assert not Row("a", "s", row.ours, row.peer, at_least=1).met
    assert row.cells() == [
        "a",
        "2.00 (1.00 to 9.00) s",
        "2.00 (1.00 to 10.0) s, it",
        "0.9 (0.5 to 2.00)",
        "≤ 0.9: yes",
    ]


def test_without_a_peer_our_own_figure_is_judged():
    assert Row("a", "MB", [400, 600, 450], at_most=500).met
    assert not Row("a", "MB", [400, 600, 550], at_most=500).met
    assert Row("a", "MB", [1]).met is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0.00"), (0.01234, "0.0123"), (1.234, "1.23"), (56.78, "56.8"), (12345.6, "12,346")],
)
def test_figures_have_three_digits(value, shown):
    assert figure(value) == spread([value, value]) == shown


def test_sides_take_turns_in_alternating_order(tmp_path):
    calls = []
    found = Stand(tmp_path, repeats=3).in_turn(
        a=lambda: calls.append("a") or len(calls), b=lambda: calls.append("b") or len(calls)
    )
    assert "".join(calls) == "abbaab"
    assert found == {"a": [1, 4, 5], "b": [2, 3, 6]}


def test_a_process_is_timed_and_one_that_fails_is_an_error(tmp_path):
    stand = Stand(tmp_path)
    run = stand.run("-c", "x = bytearray(50_000_000); print('noise'); print([1, 2])")
    assert run.answer == [1, 2]
    assert run.peak_mb > 50
    assert run.cpu_seconds > 0
    with pytest.raises(RuntimeError, match="ended with 3"):
        stand.run("-c", "raise SystemExit(3)")


def test_a_worker_prepares_itself_once_and_answers_each_time(tmp_path):
    prepared = tmp_path / "prepared"
    code = f"import time; time.sleep(0.2); open({str(prepared)!r}, 'w'); n = []; print('here'); "
    code += "from answers import answers; answers(lambda: n.append(1) or n)"
    with Stand(tmp_path).worker("-c", code) as ask:
        assert prepared.exists()  # before its first turn
        assert ask() == [1]
        assert ask() == [1, 1]
    with pytest.raises(RuntimeError, match="ended"), Stand(tmp_path).worker("-c", "1 / 0"):
        pytest.fail("It isn't there.")


def test_the_page_keeps_the_sections_that_were_not_measured_anew(tmp_path):
    path = tmp_path / "performance.md"
    page.put(path, {"b cpu": "## B\n\nold\n", "a cpu": "## A\n"})
    page.put(path, {"b cpu": "## B\n\nnew\n", "b gpu": "## B\n"})
    text = path.read_text()
    assert text == page.HEAD + (
        "\n<!-- a cpu -->\n## A\n\n<!-- b cpu -->\n## B\n\nnew\n\n<!-- b gpu -->\n## B\n"
    )
    page.put(path, {})
    assert path.read_text() == text


@pytest.mark.parametrize("name", MEASUREMENTS.names())
def test_each_is_a_measurement_that_says_what_it_is(name):
    part = MEASUREMENTS.load(name)
    assert MEASUREMENTS.about(name).line.endswith(".")
    assert {"cpu", "gpu"} >= set(part.devices)
    MEASUREMENTS.of(part, part.small)


def test_an_unknown_name_is_one_line(capsys):
    with pytest.raises(SystemExit):
        main(["preditc"])
    assert "Did you mean 'predict'?" in capsys.readouterr().err


def test_a_device_on_which_something_is_not_measured_is_said(capsys):
    assert main(["intervals", "--device", "gpu"]) == 0
    assert capsys.readouterr().err == "intervals: left out, it isn't measured on a gpu\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n in MEASUREMENTS.names() if not MEASUREMENTS.load(n).peers]
)
def test_each_runs_in_the_smoke_size(name, capfd):
    assert main([name, "--small"]) == 0, capfd.readouterr().err
    assert "| cxrkeras |" in capfd.readouterr().out
