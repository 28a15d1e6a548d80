"""`--uncertain` as it is typed: what each label gets, and what is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.labels.policies import UNCERTAIN, check_labels, parse_uncertain, policies_for
from data_prep.errors import UserError
from data_prep.tables.vocabulary import CHEXPERT14, NIH14, canonical

POLICY = st.sampled_from(sorted(UNCERTAIN))
LABEL = st.sampled_from([*CHEXPERT14, *NIH14, "disc", "a=b"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ignore", ("ignore",) * 3),
        ("Edema=zeros", ("zeros", "ones", "ones")),
        ("half,Edema=zeros", ("zeros", "half", "half")),
        (" edema = zeros , self-trained", ("zeros", "self-trained", "self-trained")),
        ("Effusion=multi-class", ("ones", "multi-class", "ones")),
        ("pleural_effusion=ones-lsr,zeros", ("zeros", "ones-lsr", "zeros")),
        ('"Nodule, small=zeros-lsr",half', ("half", "half", "zeros-lsr")),
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
    assert parse_uncertain(",".join(words)) == (rest or "ones", named)
    assert parse_uncertain(",".join(reversed(words))) == (rest or "ones", named)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("maybe", ("no policy 'maybe'", *UNCERTAIN)),
        ("self_trained", ("no policy 'self_trained'", "self-trained")),
        ("Edema=maybe", ("no policy 'maybe'", "zeros-lsr")),
        ("Edema", ("no policy 'Edema'",)),
        ("ones,", ("no policy ''",)),
        ("", ("needs a policy",)),
        ("ones,zeros", ("what the rest means once", "ones,zeros")),
        ("Effusion=ones,Pleural Effusion=ones", ("what Effusion means once",)),
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
    with pytest.raises(UserError, match=r"names Oedemas, a label of none .* Effusion, Edema\."):
        check_labels("Oedemas=ones,Edema=zeros", ["Effusion", "Edema", "Edema"])
