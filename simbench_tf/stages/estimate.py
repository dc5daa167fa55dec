"""Estimates ahead: about how long each stage of a run takes, with how much memory, and what it leaves on the disk.

The rates were measured on two cores (`python benchmarks/estimates.py` holds estimates against what runs took). A
machine with a GPU trains and attributes in a small part of the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from simbench_tf.attribution.registry import check_request, methods
from simbench_tf.config import (
    Config,
    GkmSvmSettings,
    GrammarSimulation,
    MatchedBackground,
    MethodSettings,
    PeaksSimulation,
)
from simbench_tf.genome.peak_files import read_peaks
from simbench_tf.run.attributions import taken_methods
from simbench_tf.stages.gkmsvm import settings_of
from simbench_tf.stages.room import DISK, MEMORY
from simbench_tf.stages.simulate import PART_SEQUENCES

#: Multiplications of networks a second, training and gradients.
_RATE = 1.35e11
#: Seconds: of beginning a stage, of compiling a model to train, of compiling a method.
_BEGIN, _LOAD, _COMPILE = 3.0, 8.0, 2.0
#: Bases drawn, and bases times motifs scanned, a second; those times elements times label patterns by the oracle.
_DRAWN, _SCANNED, _POSTERIOR = 1.0e8, 2.0e8, 6.0e6
#: Bytes that Python takes with what it loads, and TensorFlow more.
_PYTHON, _TENSORFLOW = 0.3e9, 0.8e9
#: Passes of a network and back, of one sequence and reference, in multiplications of the forward pass.
_PASSES = {"deeplift_revealcancel": 8, "deeplift_genomics": 5, "deeplift_rescale": 4, "deepshap": 6}
#: Forward passes that one substitution costs, where most of a network is not computed again.
_SUBSTITUTION = 0.15
#: Of a gkm-SVM: words of a sequence laid out or looked up a second, bytes of tables of all words made a second; seconds
#: of the solver for a pair of sequences, of a prediction and of all substitutions of 400 bases.
_WORDS, _TABLED = 3.5e8, 1.0e9
_SOLVED, _DECIDED, _SUBSTITUTED = 1.0e-6, 0.0005, 0.02
#: Motifs that are scanned for in peaks: about as many as `motifs: default` holds.
_MOTIFS = 150


class Estimate(NamedTuple):
    """What a stage takes, about.

    Attributes
    ----------
    stage : str
    seconds : float
    memory : float
        Bytes at the highest.
    disk : float
        Bytes that it leaves.
    """

    stage: str
    seconds: float
    memory: float
    disk: float


class _Data(NamedTuple):
    n: int
    length: int
    n_motifs: int
    n_test: float
    explained: Mapping[str, float]  # sequences of each task


def estimates(config: Config, networks: Mapping[str, Any]) -> Iterator[Estimate]:
    """Estimate each stage of a run that takes time, in order; nothing of text, which would have to be read.

    Parameters
    ----------
    config : Config
    networks : dict of str to keras.Model
        What is trained or explained, by the model's name in the configuration (`check_models`).

    Raises
    ------
    InputError
        A file of peaks cannot be read.
    """
    data = _data(config)
    if data is None:
        return
    yield _simulation(config, data)
    # of models that are not Keras' none is known
    networks = {name: each for name, each in networks.items() if hasattr(each, "count_params")}
    if networks or any(model.is_gkmsvm for model in config.models):
        yield _training(config, networks, data)
        yield _attribution(config, networks, data)
    if config.simulation.has_oracle:
        yield _oracle(config, data)


def _data(config: Config) -> _Data | None:
    simulation = config.simulation
    if isinstance(simulation, GrammarSimulation):
        n, n_motifs = simulation.n_sequences, len(simulation.elements)
        positives = {name: n * task.fraction for name, task in simulation.tasks.items()}
    elif isinstance(simulation, PeaksSimulation):
        positives = {name: float(len(read_peaks(path))) for name, path in simulation.peaks.items()}
        n = round(sum(positives.values()))
        if isinstance(simulation.background, MatchedBackground):
            n += n * simulation.background.ratio
        n, n_motifs = n + sum(len(read_peaks(path)) for path in simulation.background_files.values()), _MOTIFS
    else:
        return None
    splits = simulation.splits
    shares = {"valid": splits.valid, "test": splits.test, "train": 1 - splits.valid - splits.test}
    share = shares[config.attribution.split]
    most = config.attribution.n_sequences
    explained = {name: min(most, share * positives[name]) for name in config.attributed_tasks}
    return _Data(n, simulation.length, n_motifs, splits.test * n, explained)


def _simulation(config: Config, data: _Data) -> Estimate:
    bases = data.n * data.length
    scanned = 0.0 if config.simulation.has_oracle else bases * data.n_motifs / _SCANNED
    part = min(data.n, PART_SEQUENCES) * data.length * MEMORY[0]
    return Estimate(
        "simulate", _BEGIN + bases / _DRAWN + scanned, _PYTHON + part, data.n * (data.length * DISK[0] + DISK[1])
    )


def _training(config: Config, networks: Mapping[str, Any], data: _Data) -> Estimate:
    seconds = memory = disk = 0.0
    for each in config.replicates:
        if each.model.is_gkmsvm:
            machine = _of_machines(settings_of(each), config, data)
            seconds, memory, disk = seconds + machine.seconds, max(memory, machine.memory), disk + machine.disk
        if each.model.name not in networks:
            continue
        network, training = networks[each.model.name], config.training_for(each.model)
        if each.members:  # each member predicts the test split once more
            seconds += len(each.members) * data.n_test * multiplications(network) / _RATE
            continue
        weights = 4.0 * network.count_params()
        disk += weights
        if not each.model.is_trained:
            continue
        sequences = training.max_batches * training.batch_size
        # the test split is predicted once, the valid split after each round
        seconds += _LOAD + (3 * sequences + 2 * data.n_test) * multiplications(network) / _RATE
        memory = max(memory, 6 * weights + 3 * training.batch_size * _activations(network))
        if config.dynamics is not None and each in config.watched:
            disk += config.dynamics.checkpoints * weights
    return Estimate("train", seconds, _PYTHON + _TENSORFLOW + data.n * data.length + memory, disk)


def _of_machines(settings: GkmSvmSettings, config: Config, data: _Data) -> Estimate:
    """What a gkm-SVM a task takes: kernels of every two sequences, the solver, and the measures."""
    shares = config.simulation.splits
    n = min(settings.max_sequences, round(data.n * (1 - shares.valid - shares.test)))
    words = 2 * (data.length - settings.l + 1)
    alike = sum(math.comb(settings.l, m) * 3**m for m in range(settings.d + 1))
    seconds = n * words * alike / _WORDS + n * n * words / 4 / _WORDS + n * n * _SOLVED
    tables = 8.0 * (settings.d + 1) * 4**settings.l
    measured = (shares.valid + shares.test) * data.n * _DECIDED * (data.length / 400) ** 2
    n_tasks = len(config.tasks)
    seconds = n_tasks * (seconds + tables / _TABLED) + measured
    return Estimate("train", seconds, 16.0 * n * n + tables, n_tasks * n * data.length * 1.3)


def _attribution(config: Config, networks: Mapping[str, Any], data: _Data) -> Estimate:
    seconds = largest = disk = 0.0
    n = sum(data.explained.values())
    arrays = sum(4 if name in ("contributions", "hypothetical") else 1 for name in config.attribution.arrays)
    for each in config.replicates:
        if each.model.is_gkmsvm:
            tables = len(config.tasks) * 8.0 * 4 ** settings_of(each).l
            largest = max(largest, tables)
            for method in taken_methods(config, each.model):
                per_sequence = _SUBSTITUTED if "ism" in method.method else _DECIDED
                seconds += _COMPILE + tables / _TABLED + n * per_sequence * (data.length / 400) ** 2
                disk += n * data.length * 4 * (1 + arrays)
        network = networks.get(each.model.name)
        if network is None:
            continue
        largest = max(largest, 4.0 * network.count_params())
        for method in taken_methods(config, each.model):
            passes = forward_passes(method, data.length)
            # an ensemble's are the mean of what is there
            seconds += 0 if each.members else _COMPILE + n * passes * multiplications(network) / _RATE
            disk += n * data.length * 4 * (1 + arrays)
    return Estimate("attribute", seconds, _PYTHON + 2 * _TENSORFLOW + largest, disk)


def _oracle(config: Config, data: _Data) -> Estimate:
    n, n_explained = data.n_test, sum(data.explained.values())
    n_classes = max(1, len(config.simulation.classes)) if isinstance(config.simulation, GrammarSimulation) else 1
    # what is explained is gone through forwards and backwards, for each task's truth
    steps = n_classes * data.length * data.n_motifs * (n * (1 + len(config.tasks)) + 6 * n_explained)
    return Estimate("oracle", _BEGIN + steps / _POSTERIOR, 2 * _PYTHON, n_explained * data.length * 4.0 + 60 * n)


def multiplications(network: Any) -> float:
    """Multiplications of one forward pass: each layer's weights, as often as they are used along the sequence.

    Examples
    --------
    >>> import simbench_tf as sb
    >>> multiplications(sb.basset(seq_length=400, n_tasks=5, width=.25, padding="same"))
    8507500.0
    """
    import keras

    counted = 0.0
    for layer in network.layers:
        kernels = sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)
        if kernels:
            counted += kernels * math.prod(size or 1 for size in keras.tree.flatten(layer.output)[0].shape[1:-1])
    return counted


def _activations(network: Any) -> float:
    """Bytes of what a sequence's forward pass keeps."""
    import keras

    outputs = (tensor.shape[1:] for layer in network.layers for tensor in keras.tree.flatten(layer.output))
    return 4.0 * sum(math.prod(size or 1 for size in shape) for shape in outputs)


def forward_passes(method: MethodSettings, length: int) -> float:
    """Forward passes of a network that a method's attribution of one sequence costs, about.

    Parameters
    ----------
    method : MethodSettings
    length : int
        Of the sequence, bases.

    Examples
    --------
    >>> forward_passes(MethodSettings(method="grad_x_input"), 400)
    3.0
    >>> forward_passes(MethodSettings(method="deeplift_rescale", references="shuffle:10"), 400)
    40.0
    >>> forward_passes(MethodSettings(method="grad_x_input", strands="both", shifts=3), 400)
    42.0
    """
    request = check_request(method.method, method.references, method.settings)
    of_references = 1 if request.references is None else max(1, request.references.n)
    if "ism" in method.method or methods()[method.method].is_of_pairs:
        return _SUBSTITUTION * 3 * length * request.copies.n
    # steps and samples
    repeated = math.prod(n for name, n in request.settings.items() if name.startswith("n_") and isinstance(n, int))
    return float(_PASSES.get(method.method, 3) * of_references * repeated * request.copies.n)
