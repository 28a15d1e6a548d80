"""What every threshold rule must be, our own and those of installed packages; two of others."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.distortion import Factor
from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.evidence.out_of_fold import fit_on_run
from cxrkeras.evaluation.rules import FittedRule, PrevalenceRule, parse_rule
from cxrkeras.evaluation.scores.curve import BELOW_ALL, Curve
from cxrkeras.evaluation.scores.operating import fit_points, from_prevalence, prevalence_points
from cxrkeras.evaluation.scores.predictions import read_predictions
from cxrkeras.registry import RULES
from data_prep.errors import UserError
from tests.cxrkeras.their_rules import install_rules

every_rule = pytest.mark.parametrize("name", RULES.names())
SHARES = st.floats(1e-6, 1 - 1e-6)


def example(name):
    part = RULES.load(name)
    return RULES.of(part, part.example)


def of_kind(kind):
    return [name for name in RULES.names() if issubclass(RULES.load(name), kind)]


@every_rule
def test_it_says_what_it_is_and_its_text_reads_back(name):
    rule = example(name)
    assert isinstance(rule, FittedRule | PrevalenceRule)
    assert RULES.about(name).line.endswith(".")
    assert parse_rule(str(rule)) == RULES.make(str(rule).replace("=", ":", 1)) == rule
    assert str(rule).partition("=")[0].partition(":")[0] == name
    assert rule.origin()


@pytest.mark.parametrize("name", of_kind(PrevalenceRule))
@given(data=st.data())
def test_a_threshold_from_prevalence_is_elementwise(name, data):
    rule = example(name)
    shares = np.array(data.draw(st.lists(st.one_of(SHARES, st.just(np.nan)), max_size=6)))
    factors = np.array([data.draw(st.floats(0.01, 100)) for _ in shares])
    found = from_prevalence(shares, Factor(factors), [rule])[str(rule)]
    assert found.shape == shares.shape
    assert found.dtype == np.float64
    assert np.array_equal(np.isnan(found), np.isnan(shares))
    for k, share in enumerate(shares):
        alone = rule.threshold(np.array([[share]]), Factor(factors[k]).distort)
        assert alone.shape == (1, 1)
        assert np.array_equal(alone.ravel(), found[k : k + 1], equal_nan=True)
    known = found[np.isfinite(found)]
    assert ((known >= 0) & (known <= 1)).all()


@pytest.mark.parametrize("name", of_kind(FittedRule))
@given(data=st.data())
def test_a_fitted_threshold_heeds_no_order_and_separates_scores(name, data):
    rule = example(name)
    rows = data.draw(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=30))
    y, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    y[:2] = True, False
    order = data.draw(st.permutations(range(len(y))))
    threshold = rule.threshold(Curve(y, p))
    assert isinstance(threshold, float)
    assert BELOW_ALL <= threshold <= 1
    assert rule.threshold(Curve(y[order], p[order])) == threshold


@every_rule
def test_its_points_are_json_for_any_number_of_labels(name):
    rule, rng = example(name), np.random.default_rng(0)
    truth = rng.integers(0, 2, (40, 3)).astype(float)
    truth[:, 2] = 0
    labels = ["a", "b", "c"]
    if isinstance(rule, FittedRule):
        points = fit_points(labels, truth, rng.random((40, 3)), [rule], fold=np.arange(40) % 4)
        assert points[str(rule)]["a"]["from"].startswith(f"{rule.origin()} on 40 predictions")
    else:
        points = prevalence_points(
            labels, truth.mean(axis=0)[None], [Factor(np.full(3, 2.0))], [rule]
        )
        assert points[str(rule)]["a"]["from"] == rule.origin()
    assert json.loads(json.dumps(points, allow_nan=False)) == points
    assert [point["threshold"] is None for point in points[str(rule)].values()] == [0, 0, 1]


@pytest.mark.parametrize("share", ["0", "1.01", "-0.5", "nan", "95%", ""])
@pytest.mark.parametrize("name", ["sensitivity", "specificity"])
def test_a_share_out_of_bounds_is_refused_however_it_is_spelled(name, share):
    for text in (f"{name}={share}", f"{name}:{share}", f"{name}:at={share}"):
        with pytest.raises(UserError, match=f"--operating-point {name}: at must .*{share}'"):
            parse_rule(text)


@pytest.mark.parametrize("name", ["sensitivity", "specificity"])
def test_a_percentage_is_told_as_the_share_to_write(name):
    for percent in ("95", "95%", "95.0 %"):
        with pytest.raises(UserError, match=rf"Received: '{percent}'. Write {name}=0.95\.$"):
            parse_rule(f"{name}={percent}")
    for other in ("2", "1.01", "950", "a"):
        with pytest.raises(UserError, match=rf"Received: '{other}'\.$"):
            parse_rule(f"{name}={other}")


def test_rules_of_another_package_work_on_a_run(tmp_path, monkeypatch, run_of):
    install_rules(tmp_path / "site", monkeypatch)
    assert {"cost", "times"} <= set(RULES.names())
    assert RULES.about("cost").package == "their_rules"
    run = run_of()
    write_metrics(run)
    predictions = read_predictions(run / "predictions.csv")
    label = predictions.labels[0]
    known = np.isfinite(predictions.truth[:, 0])
    y, p = predictions.truth[known, 0] == 1, predictions.prob[known, 0]
    cuts = [BELOW_ALL, *np.unique(p)]
    costs = [3 * (y & (p <= cut)).sum() + (~y & (p > cut)).sum() for cut in cuts]
    for text in ("cost=3", "cost:3", "cost:miss=3.0"):
        rule = parse_rule(text)
        assert str(rule) == "cost=3.0"
        point = fit_on_run(run, rule)[label]
        called = p > point["threshold"]
        assert 3 * (y & ~called).sum() + (~y & called).sum() == min(costs)
        assert point["from"].startswith(f"a miss at 3 on {len(y)} out-of-fold")
        assert point["cross_fitted"]["n"] == len(y)
    twice, plain = (fit_on_run(run, parse_rule(text))[label] for text in ("times", "corrected"))
    assert twice["threshold"] > plain["threshold"]
    assert twice["cross_fitted"]["n"] == len(y)
    assert parse_rule("times:factor=1").threshold(0.2, lambda p: p) == 0.2
    with pytest.raises(UserError, match=r"times takes no value.*cxrkeras parts rules times"):
        parse_rule("times=3")
