"""gkm-SVM as a model: trained, held against gkmsvm-lite, kept on disk, explained, and refused where it cannot be."""

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import simbench_tf as sb
from simbench_tf.errors import InputError
from simbench_tf.models.gkmsvm import Kernel, decision_layer, drawn_rows, gkmsvm, write_lsgkm

theirs = pytest.importorskip("gkmsvm")
KERNEL = Kernel(l=7, k=5, d=2)


def sequences(n, seed):
    """Random sequences of 50 bases; those of label 1 hold GATAAG, those of the second label TGACTCA."""
    rng = np.random.default_rng(seed)
    bases, labels = rng.integers(0, 4, (n, 50)).astype(np.uint8), rng.integers(0, 2, (n, 2)).astype(np.uint8)
    for column, word in enumerate(([2, 0, 3, 0, 0, 2], [3, 2, 0, 1, 3, 1, 0])):
        for row in np.flatnonzero(labels[:, column]):
            place = 5 + 20 * column + rng.integers(0, 12)
            bases[row, place : place + len(word)] = word
    return bases, labels


@pytest.fixture(scope="module")
def trained():
    return gkmsvm(*sequences(200, seed=1), KERNEL)


@pytest.fixture(scope="module")
def machines(trained, tmp_path_factory):
    """The machines, read by gkmsvm-lite from LS-GKM's text, in float64."""
    folder, layer = tmp_path_factory.mktemp("lsgkm"), decision_layer(trained)
    found = []
    for number, machine in enumerate(layer.machines):
        write_lsgkm(machine, KERNEL, folder / f"{number}.txt")
        found.append(theirs.load_lsgkm_model(folder / f"{number}.txt", dtype=np.float64))
    return found


@pytest.fixture(scope="module")
def x():
    return sb.one_hot(sequences(6, seed=2)[0])


def test_a_model_of_lsgkm_is_loaded_as_it_was_written(trained, x, tmp_path):
    files = [tmp_path / f"{task}.model.txt" for task in range(2)]
    for machine, path in zip(decision_layer(trained).machines, files, strict=True):
        write_lsgkm(machine, KERNEL, path)
    np.testing.assert_allclose(sb.load_lsgkm(files)(x), trained(x), atol=1e-6)
    text = files[1].read_text()
    for before, after, message in (
        ("k 5", "k 4", "has other settings or sequences than"),
        ("gkm_esttrunc", "wgkm", "has another kernel than gkm of both strands"),
        ("L 7\n", "", "is no model of LS-GKM: 'L'"),
    ):
        files[1].write_text(text.replace(before, after, 1))
        with pytest.raises(InputError, match=message):
            sb.load_lsgkm(files)


def channels_first(x):
    return np.ascontiguousarray(x.transpose(0, 2, 1), np.float64)


def test_it_learns_each_task(trained):
    bases, labels = sequences(200, seed=3)
    predicted = trained.predict(sb.one_hot(bases), verbose=0)
    assert all(roc_auc_score(labels[:, task], predicted[:, task]) > 0.85 for task in range(2))


def test_predictions_are_gkmsvm_lites(trained, machines, x):
    decided = np.log(trained(x).numpy() / (1 - trained(x).numpy()))
    expected = np.concatenate([machine(channels_first(x)) for machine in machines], axis=1)
    np.testing.assert_allclose(decided, expected, atol=1e-5)


def test_the_machine_is_that_of_gkmsvm_lite(trained, x):
    bases, labels = sequences(200, seed=1)
    positive = labels[:, 0] == 1
    encoded = channels_first(sb.one_hot(bases))
    own = theirs.train_gkmsvm(encoded[positive], encoded[~positive], l=7, k=5, d=2, device="cpu")
    found = decision_layer(trained)
    # both solvers stop at the same tolerance, from another order of the sequences
    assert abs(own.num_support_vectors - len(found.machines[0].support)) <= 3
    np.testing.assert_allclose(own(channels_first(x))[:, 0], found(x).numpy()[:, 0], atol=5e-3)


def test_gkmexplain_is_gkmsvm_lites_and_complete(trained, machines, x):
    found = sb.attribute(trained, x, "gkmexplain", target=[0, 1])
    for target, machine in enumerate(machines):
        expected = theirs.gkmexplain(machine, channels_first(x), mode=1).transpose(0, 2, 1)
        np.testing.assert_allclose(found.hypothetical[target], expected, atol=1e-6)
        np.testing.assert_allclose(found.contributions[target], expected * x, atol=1e-6)
        whole = machine(channels_first(x))[:, 0] - machine.bias
        np.testing.assert_allclose(found.scores[target].sum(axis=1), whole, atol=1e-5)
    assert np.abs(found.convergence_delta).max() < 1e-5


@pytest.mark.parametrize("output", ["logit", "probability"])
def test_mutagenesis_at_once_is_that_of_whole_passes(trained, x, output):
    fast = sb.attribute(trained, x[:2], "ism", target=[0, 1], output=output)
    plain = sb.attribute(trained, x[:2], "ism", target=[0, 1], output=output, fast=False)
    np.testing.assert_allclose(fast.hypothetical, plain.hypothetical, atol=1e-5)
    assert np.abs(fast.scores).max() > 0.01


def test_the_same_seed_gives_the_same_bytes_and_another_one_others():
    bases, labels = sequences(120, seed=4)
    few = {"max_sequences": 60}
    one, again, other = (decision_layer(gkmsvm(bases, labels, KERNEL, seed=seed, **few)) for seed in (5, 5, 6))
    assert one.get_config() == again.get_config() != other.get_config()
    assert all(len(machine.support) <= 60 for machine in one.machines)


def test_a_saved_model_is_the_same(trained, x, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), trained(x))
    one, other = (sb.attribute(model, x, "gkmexplain").scores for model in (trained, loaded))
    np.testing.assert_array_equal(one, other)


def test_both_classes_are_drawn_alike_and_unlabelled_sequences_left_out():
    labels = np.array([1] * 10 + [0] * 100 + [255] * 20, np.uint8)
    rows = drawn_rows(labels, 40, seed=1, task=0)
    assert np.bincount(labels[rows], minlength=2).tolist() == [30, 10]
    assert np.bincount(labels[drawn_rows(labels, 10, seed=1, task=0)]).tolist() == [5, 5]
    assert len(drawn_rows(labels, 1000, seed=1, task=0)) == 110


def test_center_weighted_words_count_more_in_the_middle():
    bases, labels = sequences(100, seed=7)
    plain, weighed = (
        decision_layer(gkmsvm(bases, labels, KERNEL._replace(kernel=kernel, H=5.0))) for kernel in ("gkm", "wgkm")
    )
    x = sb.one_hot(bases[:20])
    reach = [np.abs(layer.gapped_kmer_contributions(x, 0)).sum(axis=2).mean(axis=0) for layer in (plain, weighed)]
    ends, middle = np.r_[0:10, 40:50], np.r_[20:30]
    assert reach[1][ends].mean() / reach[1][middle].mean() < 0.7 * reach[0][ends].mean() / reach[0][middle].mean()


@pytest.mark.parametrize(
    "method", ["saliency", "grad_x_input", "integrated_gradients", "expected_gradients", "smoothgrad"]
)
def test_methods_of_gradients_are_refused(trained, x, method):
    with pytest.raises(
        InputError, match=f"does not take {method}: its kernel .* choose gkmexplain, ism or dependency_map"
    ):
        sb.attribute(trained, x, method)


@pytest.mark.parametrize("method", ["deeplift_rescale", "gradcam", "deepshap"])
def test_methods_of_layers_are_refused(trained, x, method):
    with pytest.raises(InputError, match=f"does not take {method}: it is a support vector machine"):
        sb.attribute(trained, x, method)


def test_gradients_asked_for_by_others_are_no_zeros(trained, x):
    import tensorflow as tf

    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = trained(inputs)
    with pytest.raises(InputError, match="has no gradient"):
        tape.gradient(outputs, inputs)


def test_gkmexplain_is_refused_for_networks_and_for_probabilities(trained, x):
    network = sb.basset(seq_length=400, n_tasks=1, width=0.05)
    with pytest.raises(InputError, match="does not take gkmexplain: it is for gkm-SVMs, and this is none"):
        sb.attribute(network, np.zeros((1, 400, 4), np.float32), "gkmexplain")
    with pytest.raises(InputError, match='explain it with output="logit"'):
        sb.attribute(trained, x, "gkmexplain", output="probability")


def test_a_task_of_one_class_and_too_long_words_are_refused():
    bases, labels = sequences(20, seed=8)
    with pytest.raises(InputError, match="task 0: has no negative in the train split"):
        gkmsvm(bases, np.ones(20, np.uint8), KERNEL)
    with pytest.raises(InputError, match="11 is more than the 8 bases of a sequence"):
        gkmsvm(bases[:, :8], labels)
