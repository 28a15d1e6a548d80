"""Mutants of films, tables and models: none crashes, hangs, eats memory or fails unforeseen."""

import pytest

from tests.fuzz import crew
from tests.fuzz.crew import BAD, tally
from tests.fuzz.known import WAYS


def assert_none_bad(sort: str, count: int, folder, workers: int) -> None:
    found = tally(sort, range(count), 0, folder, workers)
    print(*found.lines(), sep="\n")
    assert sum(found.counts.values()) == count
    assert {kind: found.counts[kind] for kind in BAD} == dict.fromkeys(BAD, 0), [*found.lines()]
    assert found.counts["accepted"]


@pytest.mark.parametrize(("sort", "count"), [("films", 30), ("tables", 3)])
def test_a_few_mutants(tmp_path, sort, count):
    assert_none_bad(sort, count, tmp_path, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("sort", "count"), [("films", 10_000), ("tables", 2000), ("models", 200)])
def test_many_mutants(tmp_path, sort, count):
    assert_none_bad(sort, count, tmp_path, 2)


@pytest.mark.slow
def test_each_way_to_fail_is_noticed_and_the_rest_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "SECONDS", 4)
    found = tally("known", range(len(WAYS)), 0, tmp_path, 1)
    expected = {**dict.fromkeys(WAYS[:-1], 1), "refused": 2}
    assert found.counts == expected
    assert found.refusals["MemoryError at the bound"] == 1
    assert {outcome.kind: outcome.number for outcome in found.bad} == {
        kind: WAYS.index(kind) for kind in BAD
    }
    assert all(outcome.mutation == f"made to be {outcome.kind}" for outcome in found.bad)
    crash = next(outcome for outcome in found.bad if outcome.kind == "crash")
    assert crash.detail == "SIGABRT"


def test_a_seed_makes_the_same_mutants_again(tmp_path):
    from tests.fuzz.films import Mutants

    made = []
    for _ in range(2):
        mutants = Mutants(5, tmp_path)
        told = [(mutants.make(n), (tmp_path / "mutant").read_bytes()) for n in (3, 7, 3)]
        assert told[0] == told[2] != told[1]
        made.append(told)
    assert made[0] == made[1]
