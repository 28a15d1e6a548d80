"""`--uncertain`: what the code -1 means in training, for all labels or label by label."""

import csv
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

from cxrkeras.registry import POLICIES
from data_prep.errors import UserError
from data_prep.tables.vocabulary import canonical

DEFAULT = "ones"


def parse_uncertain(text: str) -> tuple[str, dict[str, str]]:
    """Read `ones`, `Atelectasis=ones,Edema=zeros` or `ignore,Edema=ones_lsr:low=0.6`.

    Args:
        text: one policy, or LABEL=POLICY, or both, joined by commas. An item that contains a comma
            (a label, or a policy with several options) is put in double quotes, as in CSV.

    Returns:
        The policy of labels that aren't named, and {canonical label: policy} of those that are.
        Each policy has only the options that differ from their defaults, so that equal policies are
        spelled equally.

    Raises:
        UserError: a policy or option doesn't exist, or something is given twice.
    """
    words = next(csv.reader([text], skipinitialspace=True), [])
    if not any(word.strip() for word in words):
        raise UserError(
            f"--uncertain needs a policy: one of {', '.join(POLICIES.names())}. Received: {text!r}."
        )
    rest, named = [], {}
    for word in words:
        label, policy = _label_and_policy(word)
        if label in named or (rest and label is None):
            what = "the policy for the rest" if label is None else f"the policy for {label}"
            raise UserError(f"--uncertain takes {what} only once. Received: {text}.")
        if label is None:
            rest.append(policy)
        else:
            named[label] = policy
    return (rest or [DEFAULT])[0], named


def policies_for(text: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The policy of each label, in order, spelled as `parse_uncertain` does."""
    rest, named = parse_uncertain(text)
    return tuple(named.get(canonical(label), rest) for label in labels)


def guesses(text: str) -> bool:
    """Whether a first model is to guess the uncertain entries of some label."""
    rest, named = parse_uncertain(text)
    return any(POLICIES.make(policy).guessed for policy in (rest, *named.values()))


def check_labels(text: str, labels: Iterable[str]) -> None:
    """Check that each label named by `--uncertain` is one of `labels`, whatever its spelling.

    Raises:
        UserError: naming those that aren't.
    """
    labels = list(dict.fromkeys(labels))
    unknown = parse_uncertain(text)[1].keys() - set(map(canonical, labels))
    if unknown:
        raise UserError(
            f"--uncertain names {', '.join(sorted(unknown))}, which no dataset of the run has as "
            f"a label. Labels there: {', '.join(labels)}."
        )


def _label_and_policy(word: str) -> tuple[str | None, str]:
    """A policy begins the word, or follows the first `=` behind which a policy's name stands.

    Labels and options may themselves contain `=`.
    """
    for start in (0, *(found.end() for found in re.finditer("=", word))):
        with suppress(UserError):
            POLICIES.name_of(word[start:])
            break
    else:  # there is no policy, which `make` says of what stands where it should
        found = re.match("[^:=]*=", word)
        start = found.end() if found else 0
    label = canonical(word[: start - 1]) if start else None
    return label, str(POLICIES.make(word[start:]))
