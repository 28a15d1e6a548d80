"""Fits a head and an attention over the films of a study, on features of a frozen trunk."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from scipy.special import expit

from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Part
from cxrkeras.data.studies import By, fused, groups_of, names_in, of_studies, table_of
from cxrkeras.models.losses.shared.entries import NEVER
from cxrkeras.models.network import TARGET
from cxrkeras.training.recipes import Learned
from cxrkeras.training.recipes.shared.pooled.heads import Pooled, on_features
from cxrkeras.training.session import Session
from data_prep.files import replacing

_FILE = "attention.keras"  # as `serving.predictor.kinds.study` reads it


class Fusing(Pooled):
    """A `Fitter` of a head and an attention; a film's row is answered by all films of its study.

    Studies learn as rows of up to V films, V that of the target's largest, the rest masked.

    Args:
        session: what is to be learnt.
        copies: of `Pooled`.
        by: what makes films a study.
        width: units of the attention.
        per_label: whether each label has its own.
        alone: also learn from each film as a study of one.
    """

    whole = False  # `model` is the film's own classifier, and the attention stands beside it

    def __init__(
        self, session: Session, copies: int, *, by: By, width: int, per_label: bool, alone: bool
    ):
        self._by, self._alone = by, alone
        self._groups = groups_of(names_in(session.target.dataset, by))
        labels = len(session.target.dataset.labels)
        self._attending = width, labels if per_label else 1
        super().__init__(session, copies)

    def _graphs(self, session: Session) -> tuple[keras.Model, keras.Model, None]:
        """See `Pooled`; here what learns takes (B, V, C + 1), the last feature 1 for a film."""
        width, count = self._copies.shape[2], int(np.bincount(self._groups).max())
        studies = keras.Input((count, width + 1))
        films = ops.reshape(studies[..., :width], (-1, width))
        found = on_features(session, films)
        attended = gated(films, *self._attending, seed=session.plan.architecture.seed)
        self._attention = keras.Model(films, attended, name="attention")
        weights = masked_softmax(
            ops.reshape(attended, (-1, count, attended.shape[-1])), studies[..., width:]
        )
        together = {name: mean_by(weights, values) for name, values in found.outputs.items()}
        head = keras.Model(films, found.learned[TARGET], name="head")
        return keras.Model(studies, together), head, None

    def fit(self, train: np.ndarray, validation: np.ndarray, targets: Targets, **how) -> Learned:
        """See `Fitter.fit`; the targets that it tells of are those of the films' studies."""
        learned = super().fit(train, validation, targets, **how)
        table = table_of(self._groups, train)
        self.facts["studies"] = len(table)
        films = np.sort(train)
        line = np.repeat(np.arange(len(table)), (table >= 0).sum(axis=1))
        of_film = line[np.argsort(table[table >= 0])][np.searchsorted(films, train)]
        return learned._replace(targets=of_studies(targets, table)[of_film])

    def _parts(self, standard, train, validation, targets):
        """See `Pooled`."""
        learned = self._part(standard, train, targets, alone=self._alone)
        held = [self._part(standard[:1], validation, targets, alone=False)]
        return [learned], held if len(validation) else []

    def _part(self, standard: np.ndarray, rows: np.ndarray, targets: Targets, *, alone) -> Part:
        copies, films, width = standard.shape
        table = table_of(self._groups, rows)
        if alone:
            table = np.concatenate([table, lone(table)])
        count = int(np.bincount(self._groups).max())
        table = np.pad(table, ((0, 0), (0, count - table.shape[1])), constant_values=-1)
        every = [np.where(table >= 0, table + copy * films, -1) for copy in range(copies)]
        studies = Studies(standard.reshape(-1, width), np.concatenate(every))
        taught = of_studies(targets, table)[np.tile(np.arange(len(table)), copies)]
        return Part(TARGET, studies, np.arange(len(studies)), taught, epoch=len(table))

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitter.predict`; a study's films count although `rows` may lack them."""
        films = np.flatnonzero(np.isin(self._groups, self._groups[rows]))
        standard = (self._copies[0, films] - self._mean) / self._scale
        attention = self._attention.predict(standard, verbose=0)
        together = fused(self._of_films(films), attention, self._groups[films])
        return expit(together[np.searchsorted(films, rows)])

    def save(self, folder: Path) -> dict:
        """See `Fitter.save`; beside it the attention."""
        said = super().save(folder)
        features = keras.Input(self._copies.shape[2:], name="features")
        attention = self._attention(self._standard()(features))
        with replacing(folder / _FILE, ".keras") as temporary:
            keras.Model(features, attention, name="attention").save(temporary)
        return said | {"kind": "study", "studies": self._by}


class Studies:
    """Rows of films' features, as the learner takes them.

    Args:
        features: (N, C) float32.
        table: (M, V) of the films of each study; -1 for none.
    """

    def __init__(self, features: np.ndarray, table: np.ndarray):
        with tf.device("CPU:0"):
            self._features = tf.constant(features, tf.float32)
            self._table = tf.constant(table, tf.int64)

    def __len__(self) -> int:
        return self._table.shape[0]

    def take(self, index: tf.Tensor) -> tf.Tensor:
        """(B,) studies -> (B, V, C + 1) float32; the last is 1 for a film, and all 0 for none."""
        films = tf.gather(self._table, index)
        there = tf.cast(films >= 0, tf.float32)[..., None]
        found = tf.concat([tf.gather(self._features, tf.maximum(films, 0)), there], axis=-1)
        shape = self._table.shape[1], self._features.shape[1] + 1
        return tf.ensure_shape(found * there, (None, *shape))


def lone(table: np.ndarray) -> np.ndarray:
    """(n, V): each film of a study of several, as a study of one."""
    films = table[(table >= 0).sum(axis=1) > 1]
    found = np.full(((films >= 0).sum(), table.shape[1]), -1)
    found[:, :1] = films[films >= 0][:, None]
    return found


def gated(features, width: int, outputs: int, *, seed: int):
    """(N, outputs) of (N, C): w'(tanh(Vh) sigmoid(Uh)) (Ilse et al. 2018, equation 9).

    It starts at zero, so that all films of a study weigh the same.
    """
    parts = [
        layers.Dense(
            width,
            activation,
            kernel_initializer=keras.initializers.GlorotUniform(seed + number),
            name=name,
        )(features)
        for number, (name, activation) in enumerate((("seen", "tanh"), ("gate", "sigmoid")))
    ]
    open_ = layers.Multiply(name="gated")(parts)
    return layers.Dense(outputs, use_bias=False, kernel_initializer="zeros", name="attention")(
        open_
    )


def masked_softmax(attention, there):
    """(B, V, A) weights: they sum to 1 over the films that are `there` (B, V, 1), else are 0."""
    if there.shape[1] == 1:  # no study has several: Keras warns of such a softmax, which is 1,
        return 1 + 0 * attention  # and of weights that have no gradient
    return ops.softmax(ops.where(there > 0, attention, NEVER), axis=1)


def mean_by(weights, values):
    """(B, k) of films' values (B V, k), by their weights (B, V, A); k is 1 A, or for A > 1 2 A."""
    count, heads, width = *weights.shape[1:], values.shape[-1]
    if heads > 1 and width > heads:  # a label's uncertain class goes by the same films
        weights = ops.concatenate([weights] * (width // heads), axis=-1)
    return ops.sum(weights * ops.reshape(values, (-1, count, width)), axis=1)
