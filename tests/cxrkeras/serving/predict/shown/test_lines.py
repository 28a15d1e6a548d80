"""What a terminal shows of an answer: paths in short, labels by surprise, a table of many films."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.serving.predict.predict import Row, answer
from cxrkeras.serving.predict.shown.lines import as_lines
from cxrkeras.serving.predict.shown.places import Places
from cxrkeras.serving.predict.shown.surprise import Surprise
from cxrkeras.serving.predictor.read import read_card
from tests.cxrkeras.serving.served_runs import LABELS, write_model

PREVALENCE = dict(zip(LABELS, (0.1, 0.5, 0.01), strict=True))


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    facts = {"training_prevalence": PREVALENCE, "inflation": dict.fromkeys(LABELS, 4.0)}
    return read_card(write_model(tmp_path_factory.mktemp("model") / "m", **facts))


def told(card, scores, folder="/films", rule="prevalence", **more):
    rows = [Row(Path(folder, f"{n}.png"), "", ()) for n in range(len(scores))]
    return answer(card, parse_rule(rule), None, rows, np.array(scores), **more)


@given(st.lists(st.floats(0.001, 0.999), min_size=3, max_size=3))
def test_labels_come_in_order_of_their_odds_against_the_prevalence(card, scores):
    surprise = Surprise(told(card, [scores]))
    ratios = []
    for score, prevalence in zip(scores, PREVALENCE.values(), strict=True):
        odds = score / (1 - score) / 4  # with the loss's weights undone
        ratios.append(odds / (prevalence / (1 - prevalence)))
    order = surprise.order(0)
    assert all(ratios[a] >= ratios[b] * (1 - 1e-9) for a, b in pairwise(order))
    for word, ratio in zip(surprise.words(0), ratios, strict=True):
        assert float(word[1:]) == pytest.approx(ratio, rel=0.06)


def test_a_film_s_table_begins_with_the_most_surprising_label(card):
    lines = list(as_lines(told(card, [[0.6, 0.9, 0.5]])))
    assert lines[0] == "/films/0.png"  # nothing to shorten
    table = [line.split("  ") for line in lines[2:5]]
    assert [row[1].strip() for row in table] == [LABELS[2], LABELS[0], LABELS[1]]
    assert " 0.200 " in lines[2]  # odds of 1 over 4
    assert " x25 " in lines[2]


def test_a_threshold_stands_on_the_scale_of_the_probability(card):
    """By `corrected` it is then the prevalence: with odds times 4, scores of 0.308, 0.8, 0.039."""
    scores = [[0.33, 0.78, 0.05]]
    lines = list(as_lines(told(card, scores, rule="corrected")))
    found = {line.split()[0]: line.split() for line in lines[2:5]}
    prevalence = [f"{PREVALENCE[label]:.3f}" for label in LABELS]
    rows = [found[label.split()[0]] for label in LABELS]
    figures = [row[len(label.split()) :] for row, label in zip(rows, LABELS, strict=True)]
    assert [row[1] for row in figures] == [row[3] for row in figures] == prevalence
    assert [row[4:6] for row in figures] == [["0.330", "yes"], ["0.780", "no"], ["0.050", "yes"]]
    for probability, _, _, threshold, _, positive, *_ in figures:
        assert (probability > threshold) == (positive == "yes")
    many = list(as_lines(told(card, scores * 4, rule="corrected")))
    for line, share in zip(many[8:11], prevalence, strict=True):
        assert line.split("of 4")[1].split()[:2] == [share, share]


def test_films_are_a_table_that_fits_the_terminal(card):
    scores = [[0.9, 0.99, 0.9]] * 3 + [[0.01, 0.01, 0.001]] * 2
    answered = told(card, scores)
    lines = list(as_lines(answered))
    assert lines[0] == "In /films:"
    assert lines[1].split() == ["film", "positive", "positive", "labels"]
    found = f"{LABELS[2]} 0.692 (x223), {LABELS[1]} 0.961 (x25), {LABELS[0]} 0.692 (x20)"
    assert lines[2].split(maxsplit=2) == ["0.png", "3", found]
    assert lines[6].split() == ["4.png", "0", "-"]
    narrow = list(as_lines(answered, width=60))
    assert narrow[2].split(maxsplit=2) == ["0.png", "3", f"{LABELS[2]} 0.692 (x223) and 2 more"]
    assert max(map(len, narrow[:7])) <= 60


def test_of_many_films_the_first_are_listed_and_all_are_counted(card):
    lines = list(as_lines(told(card, [[0.9, 0.99, 0.9]] * 546)))
    assert [line.split()[0] for line in lines[2:4]] == ["0.png", "1.png"]
    assert lines[32] == "  and 516 more: --out FILE.csv keeps them all"
    assert not lines[33]
    assert sum("546 of 546" in line for line in lines) == 3


def test_what_is_positive_and_yet_unlikely_is_explained(card):
    likely, unlikely = told(card, [[0.9, 0.99, 0.9]]), told(card, [[0.9, 0.99, 0.9]])
    threshold = np.array([[1.0, 1.0, 1.0]])
    unlikely = replace(unlikely, adjusted=np.full((1, 3), 1e-4), positive=threshold)
    assert not any("below x1" in line for line in as_lines(likely))
    assert any("below x1" in line for line in as_lines(unlikely))


def test_withheld_decisions_are_counted_in_both_tables(card):
    answered = told(card, [[0.9, 0.99, 0.9]] * 5)
    held = np.zeros((5, 3), bool)
    held[1, 0] = held[1, 2] = held[4, 0] = True
    positive = np.where(held, np.nan, answered.positive)
    caution = replace(answered, withheld=held, positive=positive)
    lines = [line.split() for line in as_lines(caution)]
    assert lines[1][:3] == ["film", "positive", "withheld"]
    assert [line[1:3] for line in lines[2:7]] == [
        ["3", "0"], ["1", "2"], ["3", "0"], ["3", "0"], ["2", "1"]
    ]  # fmt: skip
    assert lines[8][:3] == ["label", "positive", "withheld"]
    for line, counts in zip(lines[9:12], ("3 of 5 2", "5 of 5 0", "4 of 5 1"), strict=True):
        assert f" {counts} " in " ".join(line)


def test_mean_ranks_stand_in_their_own_order(card):
    card.facts["combine"] = "ranks"
    try:
        surprise = Surprise(told(card, [[0.6, 0.9, 0.5]]))
        assert surprise.order(0) == [1, 0, 2]
        assert "odds" not in surprise.sentence()
    finally:
        del card.facts["combine"]


@pytest.mark.parametrize(
    ("paths", "said", "names"),
    [
        (["/a/b/1.png", "/a/b/c/2.png"], ["In /a/b:"], ["1.png", "c/2.png"]),
        (["films/1.png", "films/2.png"], ["In films:"], ["1.png", "2.png"]),
        (["1.png", "2.png"], [], ["1.png", "2.png"]),
        (["/a/b/1.png"], [], ["/a/b/1.png"]),
        (["/a/1.png", "/b/2.png"], [], ["/a/1.png", "/b/2.png"]),
        (["/a/1.png", "/a/2.png", "3.png"], ["In /a:"], ["1.png", "2.png", "3.png"]),
        ([], [], []),
    ],
)
def test_what_paths_have_in_common_is_said_once(paths, said, names):
    places = Places([Path(path) for path in paths])
    assert list(places.said()) == said
    assert places.names == names
