"""One label space of several archives: what one never labels teaches its films nothing."""

import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.labels.merged import merged_labels, places_in
from cxrkeras.data.labels.targets import targets_from_codes
from cxrkeras.registry import LOSSES, READERS
from data_prep.dataset.make import make_dataset
from data_prep.errors import UserError
from data_prep.tables.vocabulary import canonical
from tests.cxrkeras.models.losses.losses_by_hand import value_and_gradient

ARCHIVES = ("chexpert", "covid", "nih", "padchest")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Four archives in miniature, prepared in the words of the vocabulary or in their own."""
    root = tmp_path_factory.mktemp("archives")
    made = {}
    for name in ARCHIVES:
        raw, reader = READERS.load(name).example(root / name)
        settings = {"size": 32, "workers": 0, "progress": False, "tell": lambda _: None}
        words = "ours" if name == "padchest" else "own"
        made[name] = load_dataset(
            make_dataset(reader, raw, root / f"{name}-out", findings=words, **settings).out
        )
    return made


def test_each_finding_is_one_label_whoever_spells_it(datasets):
    merged = merged_labels({name: data.labels for name, data in datasets.items()})
    assert len({canonical(label) for label in merged}) == len(merged)
    for data in datasets.values():
        places = places_in(merged, data.labels)
        meanings = [canonical(merged[place]) for place in places]
        assert meanings == [canonical(label) for label in data.labels]
    effusion = [places_in(merged, data.labels)[data.labels.index(own)] for data, own in (
        (datasets["chexpert"], "Pleural Effusion"), (datasets["nih"], "Effusion"),
        (datasets["padchest"], "Effusion"))]  # fmt: skip
    assert len(set(effusion)) == 1


@pytest.mark.parametrize("blank", ["zeros", "ignore"])
def test_the_gradient_is_exactly_zero_where_an_archive_doesn_t_label(datasets, blank):
    merged = merged_labels({name: data.labels for name, data in datasets.items()})
    for data in datasets.values():
        places = places_in(merged, data.labels)
        targets = targets_from_codes(data.codes, blank=blank).widened(places, len(merged))
        logits = np.random.default_rng(0).normal(size=targets.values.shape).astype(np.float32)
        layer = LOSSES.make("bce").layer()
        _, gradient = value_and_gradient(layer, targets.values, logits)
        others = np.delete(gradient, places, axis=1)
        assert others.shape[1] > 0
        assert (others == 0).all()
        known = np.isfinite(targets.known)
        assert (gradient[known] != 0).all()
        assert (gradient[~known] == 0).all()


def test_a_dataset_with_a_finding_under_two_names_is_refused_with_the_cure():
    with pytest.raises(UserError, match=r"under two names.*--findings ours"):
        merged_labels({"a": ("Effusion", "Pleural Effusion"), "b": ("Mass",)})
