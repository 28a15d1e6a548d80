"""`--uncertain` as it is typed: what each label gets, and what is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.labels.uncertain import check_labels, parse_uncertain, policies_for
from cxrkeras.registry import POLICIES
from data_prep.errors import UserError
from data_prep.tables.vocabulary import CHEXPERT14, NIH14, canonical

POLICY = st.sampled_from([*POLICIES.names(), "ones_lsr:low=0.6", "zeros_lsr:low=0.1,high=0.2"])
LABEL = st.sampled_from([*CHEXPERT14, *NIH14, "disc", "a=b", "Lung: low", "ones"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ignore", ("ignore",) * 3),
        ("Edema=zeros", ("zeros", "ones", "ones")),
        ("half,Edema=zeros", ("zeros", "half", "half")),
        (" edema = zeros , self-trained", ("zeros", "self_trained", "self_trained")),
        ("Effusion=multi_class", ("ones", "multi_class", "ones")),
        ("pleural_effusion=ones-lsr,zeros", ("zeros", "ones_lsr", "zeros")),
        ('"Nodule, small=zeros-lsr",half', ("half", "half", "zeros_lsr")),
        ("ones-lsr: low = .60,Edema=half", ("half", "ones_lsr:low=0.6", "ones_lsr:low=0.6")),
        ("Edema=ones_lsr:low=0.55", ("ones_lsr", "ones", "ones")),
        (
            'zeros,"Edema=ones_lsr:low=0.6,high=0.9"',
            ("ones_lsr:low=0.6,high=0.9", "zeros", "zeros"),
        ),
    ],
)
def test_each_label_gets_what_is_said_of_it_or_of_the_rest(text, expected):
    assert policies_for(text, ("Edema", "Pleural Effusion", "Nodule, small")) == expected


@given(rest=st.none() | POLICY, named=st.dictionaries(LABEL, POLICY, max_size=5))
def test_what_is_written_is_read(rest, named):
    named = {canonical(label): policy for label, policy in named.items()}
    words = [f"{label}={policy}" for label, policy in named.items()] + ([rest] if rest else [])
    if not words:
        return
    for order in (words, words[::-1]):
        text = ",".join(f'"{word}"' if "," in word else word for word in order)
        assert parse_uncertain(text) == (rest or "ones", named)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("maybe", ("--uncertain must be one of", "'maybe'", *POLICIES.names())),
        ("self-taught", ("Received: 'self-taught'. Did you mean 'self_trained'?",)),
        ("Edema=maybe", ("Received: 'maybe'", "zeros_lsr")),
        ("Edema=ones_ls:low=0.6", ("Received: 'ones_ls:low=0.6'. Did you mean 'ones_lsr'?",)),
        ("Edema", ("Received: 'Edema'",)),
        ("ones,", ("Received: ''",)),
        ("", ("needs a policy",)),
        ("ones,zeros", ("takes the policy for the rest only once", "ones,zeros")),
        ("Effusion=ones,Pleural Effusion=ones", ("the policy for Effusion only once",)),
        ("Edema=half:low=0.6", ("half has no option 'low'",)),
        ("Edema=ones_lsr:low=2", ("ones_lsr: low must be less than or equal to 1", "'2'")),
        ("zeros_lsr:low=0.5", ("zeros_lsr: low must not be above high", "0.5")),
        ("ones_lsr:low=nan", ("ones_lsr: low", "nan")),
    ],
)
def test_what_can_t_be_meant_is_refused_in_a_line(text, words):
    with pytest.raises(UserError) as refused:
        parse_uncertain(text)
    assert all(word in str(refused.value) for word in words)
    assert "\n" not in str(refused.value)


def test_a_label_that_nobody_has_is_named_with_those_that_there_are():
    check_labels("Effusion=ones,zeros", ["Pleural Effusion", "Edema"])
    check_labels("zeros", [])
    with pytest.raises(UserError, match=r"names Oedemas, which no dataset .* Effusion, Edema\."):
        check_labels("Oedemas=ones,Edema=zeros", ["Effusion", "Edema", "Edema"])
