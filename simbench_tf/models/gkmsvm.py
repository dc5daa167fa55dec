"""gkm-SVM: a support vector machine over gapped k-mers for each task, trained, and as a Keras model.

The kernel is LS-GKM's (Ghandi et al. 2014; Lee 2016): gkm, the truncated estimated one, or wgkm, in which l-mers near
the middle of the sequence count more. Its value by mismatches, and models as LS-GKM's text, are gkmsvm-lite's; the
machine is solved by scikit-learn's libsvm, as LS-GKM's is; kernels and predictions are those of `gapped_kmers`, which
are as exact as a comparison of all words of two sequences, and far faster.
"""

from __future__ import annotations

import gzip
import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from simbench_tf.architectures import LACKING
from simbench_tf.dna import bases_of_one_hot, one_hot
from simbench_tf.errors import InputError
from simbench_tf.models.gapped_kmers import (
    both_strands,
    decisions,
    explained_lmers,
    gram_matrix,
    mismatch_sums,
    norms,
    place_weights,
    substituted_decisions,
)
from simbench_tf.models.layers import read_array, written_array
from simbench_tf.random_streams import choose_rows

Floats = npt.NDArray[np.float64]


class Kernel(NamedTuple):
    """Which kernel: settings as LS-GKM calls them.

    Attributes
    ----------
    kernel : {"gkm", "wgkm"}
        The truncated estimated kernel, or that with words near the middle of the sequence counting more.
    l, k, d : int
        Bases of a word, how many of them count, and mismatches of two words, at most.
    M, H : int, float
        Of wgkm: the weight in the middle, and the bases from there at which it is half of that.
    """

    kernel: str = "gkm"
    l: int = 11  # noqa: E741 - the field's letter
    k: int = 7
    d: int = 3
    M: int = 50
    H: float = 50.0

    def weights(self, seq_length: int) -> Floats:
        """What words count by their place, (seq_length - l + 1,).

        Raises
        ------
        InputError
            The sequence is shorter than a word.
        """
        if seq_length < self.l:
            raise InputError("settings.l", f"{self.l} is more than the {seq_length} bases of a sequence", "lower it")
        return place_weights(seq_length - self.l + 1, self.kernel, self.M, self.H)


#: LS-GKM's gkm with words of 11 bases.
DEFAULT = Kernel()


class Machine(NamedTuple):
    """A trained machine: decision(x) = bias + sum over support sequences of coefficient * kernel(x, sequence).

    Attributes
    ----------
    support : uint8 array, shape (S, L)
        Bases of the support sequences.
    coefficients : float64 array, shape (S,)
        Above 0 of positives, below of negatives.
    bias : float
    """

    support: npt.NDArray[np.uint8]
    coefficients: Floats
    bias: float


def gkmsvm(
    bases: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    kernel: Kernel = DEFAULT,
    C: float = 1.0,
    max_sequences: int = 4000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> keras.Model:
    """Train a gkm-SVM for each task, and give them as one Keras model.

    Parameters
    ----------
    bases : uint8 array, shape (N, L)
        Training sequences, as `Dataset.bases` gives them.
    labels : uint8 array, shape (N,) or (N, T)
        0, 1, or 255 for a sequence that is left out of a task.
    kernel : Kernel
        By default LS-GKM's gkm with l = 11, k = 7, d = 3.
    C : float, default 1
        Cost of a training sequence on the wrong side.
    max_sequences : int, default 4000
        Training sequences of a task, at most, half of them positives where there are as many.
    seed : int, default 0
        Of the draw of these.
    progress : callable, optional
        Called with the number of sequences whose kernels were just computed: at most `max_sequences` a task.

    Returns
    -------
    keras.Model
        Input (N, L, 4), output float32 (N, T): the sigmoid of the decision value, so that the logit that is explained
        is the decision value. It is no calibrated probability. It can be saved and loaded (after ``import
        simbench_tf.models.gkmsvm``), and is explained by `gkmexplain`, `ism` and whatever else asks for outputs alone.

    Raises
    ------
    InputError
        gkmsvm-lite is not installed, sequences are shorter than l, or a task has one class.

    Notes
    -----
    Time and memory: on one core some 20 ms for each sequence and task of 400 bases at l = 11 and d = 3, then the
    solver's, which grows with the square; 8 bytes for each pair of sequences, and 4^(l + 1) for each thread.

    Examples
    --------
    >>> from simbench_tf.dna import one_hot
    >>> rng = np.random.default_rng(0)
    >>> bases, labels = rng.integers(0, 4, (60, 30)).astype(np.uint8), np.arange(60) % 2
    >>> bases[labels == 1, 10:16] = [2, 0, 3, 0, 0, 2]  # GATAAG
    >>> model = gkmsvm(bases, labels, Kernel(l=6, k=4, d=2))
    >>> model(one_hot(["CCTCACTCACGATAAGTCACTCACTCACTC"])).numpy() > 0.5
    array([[ True]])
    """
    table = labels[:, None] if labels.ndim == 1 else labels
    h = mismatch_values(kernel)
    machines = []
    for task, column in enumerate(table.T):
        rows = drawn_rows(column, max_sequences, seed, task)
        if len(np.unique(column[rows])) < 2:
            what = f"has no {'negative' if (column == 1).any() else 'positive'} in the train split"
            raise InputError(f"task {task}", what, "make the data set larger, or hold out less")
        machines.append(trained_machine(bases[rows], column[rows], kernel, h, C, progress))
    return gkmsvm_of(machines, kernel, h)


def drawn_rows(labels: npt.NDArray[np.uint8], most: int, seed: int, task: int) -> npt.NDArray[np.int64]:
    """Rows that a machine is trained on: at most `most`, of both classes as alike in number as there are sequences.

    Examples
    --------
    >>> labels = np.array([1, 0, 0, 0, 0, 1, 255], np.uint8)
    >>> labels[drawn_rows(labels, 4, seed=0, task=0)].tolist()
    [1, 0, 0, 1]
    """
    positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    n_positives = min(len(positives), max(most // 2, most - len(negatives)))
    kept = [
        choose_rows(seed, f"gkmsvm positives {task}", positives, n_positives),
        choose_rows(seed, f"gkmsvm negatives {task}", negatives, most - n_positives),
    ]
    return np.sort(np.concatenate(kept))


def trained_machine(
    bases: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    kernel: Kernel,
    h: Floats,
    C: float,
    progress: Callable[[int], None] | None = None,
) -> Machine:
    """Train the machine of one task on all of these sequences: the dual of the soft margin, solved by libsvm."""
    from sklearn.svm import SVC

    gram = gram_matrix(bases, kernel.weights(bases.shape[1]), h, kernel.l, progress)
    solved = SVC(C=C, kernel="precomputed", cache_size=500).fit(gram, labels == 1)
    return Machine(bases[solved.support_], solved.dual_coef_[0], float(solved.intercept_[0]))


def _library() -> ModuleType:
    """gkmsvm-lite, imported without its warning that numba's threads are begun: none of its loops is run in threads.

    Raises
    ------
    InputError
        It is not installed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Numba's threading layer", RuntimeWarning)
        try:
            import gkmsvm
            import gkmsvm.kernels
        except ImportError as error:
            mend = "pip install 'simbench_tf[gkm]'"
            raise InputError("architecture gkmsvm", "needs gkmsvm-lite, which is not installed", mend) from error
    return gkmsvm


def mismatch_values(kernel: Kernel) -> Floats:
    """What a pair of words with 0 to d mismatches is worth, (d + 1,): gkmsvm-lite's kernel of such pairs.

    Raises
    ------
    InputError
        gkmsvm-lite is not installed.
    """
    of_words = _library().kernels.EstTruncGkmKernel(kernel.l, kernel.k, d=kernel.d, normalize=False, include_rc=False)
    # CC...AA against AA...AA
    unlike = np.arange(kernel.l) < np.arange(kernel.d + 1)[:, None]
    encoded = one_hot(unlike.astype(np.uint8)).astype(np.float64).transpose(0, 2, 1)
    return np.asarray(of_words.pairwise(encoded[:1], encoded)[0], np.float64)


def gkmsvm_of(machines: Sequence[Machine], kernel: Kernel, h: Floats) -> keras.Model:
    """The Keras model of trained machines, one for each task, as `gkmsvm` gives it."""
    inputs = keras.Input((machines[0].support.shape[1], 4), name="one_hot")
    decided = DecisionValues(kernel._asdict(), h.tolist(), [_written(each) for each in machines])(inputs)
    outputs = keras.layers.Activation("sigmoid", dtype="float32", name="sigmoid")(decided)
    return keras.Model(inputs, outputs, name="gkmsvm")


@keras.saving.register_keras_serializable("simbench_tf")
class DecisionValues(keras.layers.Layer):
    """Decision values of gkm-SVMs, one for each task: one-hot (N, L, 4) -> float32 (N, T).

    L-mers that hold an N (a row of zeros) count for nothing; gkmsvm-lite and LS-GKM take N for A.

    Parameters
    ----------
    kernel : mapping
        `Kernel` as a mapping.
    h : sequence of float
        From `mismatch_values`.
    machines : sequence of mapping
        `Machine` of each task as a mapping, its arrays as `written_array` writes them.
    """

    # by these attribution knows what the layer cannot give, and that all bases are looked at
    lacking = LACKING["gkmsvm"]
    joins_positions = True
    supports_jit = False  # it is no computation of TensorFlow's

    def __init__(
        self, kernel: Mapping[str, Any], h: Sequence[float], machines: Sequence[Mapping[str, Any]], **options: Any
    ) -> None:
        super().__init__(**{"dtype": "float32", "trainable": False, "name": "decision_values", **options})
        self.kernel = Kernel(**kernel)
        self.machines = [
            Machine(read_array(each["support"]), read_array(each["coefficients"]), float(each["bias"]))
            for each in machines
        ]
        self._h = np.asarray(h, np.float64)
        self._weights = self.kernel.weights(self.machines[0].support.shape[1])
        self._tables: Floats | None = None
        self._explained: tuple[int, Floats] | None = None

    def call(self, inputs: Any) -> Any:
        """Decision values, (N, T)."""
        return self._computed(lambda bases: self._decided(bases).T, inputs, [None, len(self.machines)])

    def single_substitutions(self, inputs: Any, targets: Any) -> Any:
        """Decision values after every single substitution, (N, L, 4) and (n_targets,) -> (n_targets, N, L, 4)."""

        def substituted(bases: npt.NDArray[np.uint8]) -> Floats:
            found = substituted_decisions(bases, self._lmer_weights(), self._weights, self._h, self.kernel.l)
            return found + self._biases[:, None, None, None]

        every = self._computed(substituted, inputs, [len(self.machines), None, *inputs.shape[1:]])
        return tf.gather(every, targets)

    def gapped_kmer_contributions(self, one_hot: npt.NDArray[np.float32], target: int) -> Floats:
        """What gkmexplain gives each base, those not there too: (N, L, 4) -> float64 (N, L, 4).

        The sum over the observed bases is the decision value without its bias.
        """
        if self._explained is None or self._explained[0] != target:  # 4^l * (d + 1) numbers: of one target at a time
            self._explained = (target, self._mismatch_sums(target))
        bases = bases_of_one_hot(one_hot)
        roots = norms(bases, self._weights, self._h, self.kernel.l)
        return np.asarray(
            explained_lmers(bases, self._explained[1], self._weights, roots, self._h, self.kernel.l), np.float64
        )

    def biases(self, targets: Sequence[int]) -> Floats:
        """The bias of each target, (n_targets,)."""
        return self._biases[list(targets)]

    @property
    def _biases(self) -> Floats:
        return np.array([machine.bias for machine in self.machines])

    def _decided(self, bases: npt.NDArray[np.uint8]) -> Floats:
        sums = decisions(bases, self._lmer_weights(), self._weights, self._h, self.kernel.l)
        return sums + self._biases[:, None]

    def _computed(self, function: Callable[..., Floats], inputs: Any, shape: list[int | None]) -> Any:
        """What a function of bases gives, of one-hot inputs, as a tensor."""

        def of_one_hot(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
            return function(bases_of_one_hot(np.asarray(rows, np.float32))).astype(np.float32)

        @tf.custom_gradient
        def computed(rows: Any) -> Any:
            outputs = tf.numpy_function(of_one_hot, [rows], tf.float32, stateful=False)
            outputs.set_shape(shape)
            return outputs, _no_gradient

        return computed(inputs)

    def _lmer_weights(self) -> Floats:
        """What each of all l-mers adds to each decision value, (T, 4^l), before the sequence's own norm."""
        if self._tables is None:
            self._tables = np.stack([self._mismatch_sums(task) @ self._h for task in range(len(self.machines))])
        return self._tables

    def _mismatch_sums(self, task: int) -> Floats:
        machine, (l, d) = self.machines[task], (self.kernel.l, self.kernel.d)  # noqa: E741
        roots = norms(machine.support, self._weights, self._h, l)
        counted = np.divide(machine.coefficients, roots, out=np.zeros_like(roots), where=roots > 0)
        coefficients = np.broadcast_to(counted[:, None] * self._weights, (len(roots), len(self._weights))).ravel()
        forward, reverse = both_strands(machine.support, l)
        return mismatch_sums(np.concatenate([forward.ravel(), reverse.ravel()]), np.tile(coefficients, 2), l, d)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, int]:
        """(N, L, 4) -> (N, T)."""
        return (input_shape[0], len(self.machines))

    def get_config(self) -> dict[str, Any]:
        """Settings and machines, whose arrays are written as text without loss."""
        return {
            **super().get_config(),
            "kernel": self.kernel._asdict(),
            "h": self._h.tolist(),
            "machines": [_written(each) for each in self.machines],
        }


def load_lsgkm(files: Sequence[str | Path]) -> keras.Model:
    """Load gkm-SVMs that LS-GKM trained, one for each output, as the Keras model that `gkmsvm` gives.

    Parameters
    ----------
    files : sequence of path
        PREFIX.model.txt of `gkmtrain`, of kernel 2 (gkm) with both strands, plain or gzip; all of the same settings
        and length of sequences.

    Raises
    ------
    InputError
        gkmsvm-lite is not installed, a file is not such a model, or two differ in their settings.

    Examples
    --------
    >>> load_lsgkm(["HepG2.model.txt"])  # doctest: +SKIP
    <Functional name=gkmsvm, built=True>
    """
    machines, kernels = [], []
    for path in map(Path, files):
        kernels.append(_kernel_of_lsgkm(path))
        mismatch_values(kernels[0])  # gkmsvm-lite is there
        try:
            found = _library().load_lsgkm_model(path, dtype=np.float64)
        except (ValueError, KeyError, IndexError) as error:
            raise InputError(path, f"is no model of LS-GKM: {error}", "give PREFIX.model.txt of gkmtrain") from error
        support = bases_of_one_hot(found.support_sequences.transpose(0, 2, 1))
        machines.append(Machine(support, found.coefficients, float(found.bias)))
        if kernels[-1] != kernels[0] or support.shape[1] != machines[0].support.shape[1]:
            raise InputError(path, f"has other settings or sequences than {files[0]}", "load it by itself")
    return gkmsvm_of(machines, kernels[0], mismatch_values(kernels[0]))


def _kernel_of_lsgkm(path: Path) -> Kernel:
    """The kernel that the head of LS-GKM's text names."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            head = dict(line.split(None, 1) for line in itertools.takewhile(lambda line: line.strip() != "SV", lines))
        kernel = Kernel(l=int(head["L"]), k=int(head["k"]), d=int(head["d"]))
        known = head["kernel_type"].strip() in ("gkm_esttrunc", "2") and head.get("norc", "0").strip() == "0"
    except (OSError, ValueError, KeyError) as error:
        raise InputError(path, f"is no model of LS-GKM: {error}", "give PREFIX.model.txt of gkmtrain") from error
    if not known:
        raise InputError(path, "has another kernel than gkm of both strands", "train it with `gkmtrain -t 2`")
    return kernel


def _no_gradient(*_: Any) -> Any:
    raise InputError("model gkmsvm", f"has no gradient: {LACKING['gkmsvm']['gradients']}", "choose gkmexplain or ism")


def _written(machine: Machine) -> dict[str, Any]:
    arrays = {"support": written_array(machine.support), "coefficients": written_array(machine.coefficients)}
    return {**arrays, "bias": machine.bias}


def decision_layer(model: Any) -> DecisionValues:
    """The layer of a gkm-SVM's Keras model that holds its machines."""
    return next(layer for layer in model.layers if isinstance(layer, DecisionValues))


def write_lsgkm(machine: Machine, kernel: Kernel, path: Path) -> None:
    """Write a machine of kernel gkm as LS-GKM's text, which LS-GKM, its gkmexplain and gkmsvm-lite read."""
    encoded = one_hot(machine.support).transpose(0, 2, 1)
    params = {"L": kernel.l, "k": kernel.k, "d": kernel.d, "include_rc": True}
    _library().GkmSVM(encoded, machine.coefficients, machine.bias, "gkm_esttrunc", params).save(str(path), fmt="lsgkm")
