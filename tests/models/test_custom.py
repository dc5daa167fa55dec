"""Models that a function of the user's builds: trained, explained and exported like ours; what does not fit is said."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pandas as pd
import pytest
import yaml

from helpers.tiny_run import TINY_RUN
from simbench_tf import attribute, pipeline
from simbench_tf.config import Model, load_config
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.export import export_run
from simbench_tf.models.custom import load_trained
from simbench_tf.run.folder import begin
from simbench_tf.run.models import load_model
from simbench_tf.score import without_nulls
from simbench_tf.stages.train import inputs as training_inputs
from simbench_tf.training import build_model

RESIDUAL = """
    import keras

    def build(seq_length, n_tasks, seed, channels=6, n_blocks=2):
        inputs = keras.Input((seq_length, 4))
        x = keras.layers.Conv1D(channels, 9, padding="same", activation="relu")(inputs)
        for _ in range(n_blocks):
            y = keras.layers.Conv1D(channels, 5, padding="same", activation="relu")(x)
            x = keras.layers.Add()([x, y])
        x = keras.layers.GlobalMaxPooling1D()(x)
        return keras.Model(inputs, keras.layers.Dense(n_tasks, "sigmoid")(x))
"""
OWN_LAYER = """
    import keras
    from beside import SCALE

    @keras.saving.register_keras_serializable("mine")
    class Scaled(keras.layers.Layer):
        def call(self, x):
            return SCALE * x

    def build(seq_length, n_tasks):
        inputs = keras.Input((seq_length, 4))
        x = Scaled()(keras.layers.Flatten()(inputs))
        return keras.Model(inputs, keras.layers.Dense(n_tasks, "sigmoid")(x))
"""


def write(path, text):
    path.write_text(textwrap.dedent(text))
    return path


def config_of(folder, model):
    short = {
        "training": {"batch_size": 50, "max_batches": 3},
        "attribution": {
            "n_sequences": 3,
            "tasks": ["K562"],
            "methods": [{"method": "grad_x_input"}, {"method": "deeplift_rescale", "references": "zeros"}],
        },
    }
    (folder / "c.yaml").write_text(yaml.safe_dump({**TINY_RUN, **short, "models": [{"name": "mine", **model}]}))
    return load_config(folder / "c.yaml")


@pytest.fixture(scope="module")
def residual_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("residual")
    write(folder / "net.py", RESIDUAL)
    config = config_of(folder, {"python": "net.py:build", "settings": {"channels": 5}})
    pipeline.run(config, folder / "run")
    return folder


def test_a_residual_network_goes_the_whole_way(residual_run):
    run = residual_run / "run"
    summary = without_nulls(pd.read_csv(run / "scores" / "summary.csv", na_filter=False))
    assert summary[["model", "key"]].values.tolist() == [
        ["mine", "grad_x_input@none"],
        ["mine", "deeplift_rescale@zeros"],
    ]
    model = load_trained(run / "models" / "mine" / "model.keras")
    assert {layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv1D)} == {5}, "its setting"
    exported = export_run(run, "mine", residual_run / "entry").folder
    doc = yaml.safe_load((exported / "model.yaml").read_text())["info"]["doc"]
    assert doc.startswith("a Keras model of the user's own, trained on")


def test_what_the_function_is_follows_into_the_fingerprint(residual_run, tmp_path):
    write(tmp_path / "net.py", RESIDUAL)
    model = {"python": "net.py:build", "settings": {"channels": 5}}

    def made_from(model):
        config = config_of(tmp_path, model)
        return training_inputs(config, config.replicates[0])

    there = load_config(residual_run / "c.yaml")
    assert made_from(model) == training_inputs(there, there.replicates[0]), "wherever the file stands"
    assert made_from({**model, "settings": {"channels": 6}}) != made_from(model)
    before = made_from(model)
    write(tmp_path / "net.py", RESIDUAL + "\n    # changed")
    assert made_from(model) != before


def test_seed_and_keywords_are_passed_as_far_as_they_are_taken(tmp_path):
    text = """
        import keras
        seen = []
        def network(seq_length, n_tasks):
            layers = [keras.Input((seq_length, 4)), keras.layers.Flatten(), keras.layers.Dense(n_tasks, "sigmoid")]
            return keras.Sequential(layers)
        def all_of_them(**given):
            assert given == {"seq_length": 30, "n_tasks": 2, "seed": 5, "depth": 3}, given
            return network(30, 2)
        def none():
            return network(30, 2)
        class Made:
            def __new__(cls, *, n_tasks, depth=1):
                return network(30, n_tasks)
    """
    path = write(tmp_path / "net.py", text)
    build_model(Model(python=f"{path}:all_of_them", settings={"depth": 3}), 30, 2, seed=5)
    build_model(Model(python=f"{path}:Made", settings={"depth": 3}), 30, 2, seed=5)
    one, same, other = (build_model(Model(python=f"{path}:none"), 30, 2, seed).get_weights()[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other), "also where the function does not ask for the seed"


def test_a_module_is_imported(tmp_path, monkeypatch):
    (tmp_path / "nets_of_mine").mkdir()
    write(tmp_path / "nets_of_mine" / "__init__.py", RESIDUAL)
    monkeypatch.syspath_prepend(tmp_path)
    assert build_model(Model(python="nets_of_mine:build"), 50, 2, 0).output_shape == (None, 2)
    config = config_of(tmp_path, {"python": "nets_of_mine:build"})
    assert config.models[0].python == "nets_of_mine:build"
    assert training_inputs(config, config.replicates[0])["model"]["python"][0] == "nets_of_mine:build"


@pytest.fixture(scope="module")
def own_layer_run(tmp_path_factory):
    """Trained, with a layer of its own; the file imports what stands beside it."""
    folder = tmp_path_factory.mktemp("own_layer")
    write(folder / "net.py", OWN_LAYER)
    write(folder / "beside.py", "SCALE = 2.0\n")
    config = config_of(folder, {"python": "net.py:build"})
    for stage in (begin, pipeline.simulate, pipeline.train):
        stage(config, folder / "run")
    return folder


@pytest.mark.slow
def test_another_process_knows_the_layers_of_the_model(own_layer_run):
    path = own_layer_run / "run" / "models" / "mine" / "model.keras"
    code = (
        "from pathlib import Path\nfrom simbench_tf.run.models import load_model\n"
        f"print(load_model(Path({str(path)!r})).output_shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(None, 2)"


def test_a_model_with_layers_of_its_own_is_explained(own_layer_run):
    model = load_model(own_layer_run / "run" / "models" / "mine" / "model.keras")
    x = one_hot("ACGT" * 50)
    scores = attribute(model, x, method="grad_x_input", target=1).scores
    dense = model.layers[-1].get_weights()[0][:, 1].reshape(200, 4)
    np.testing.assert_allclose(scores[0], 2 * (dense * x[0]).sum(axis=1), rtol=1e-5)


def test_layers_of_ones_own_are_no_part_of_a_kipoi_entry(own_layer_run):
    with pytest.raises(InputError, match=r"holds what is not Keras' own \(Scaled\)"):
        export_run(own_layer_run / "run", "mine", own_layer_run / "entry")
    assert not (own_layer_run / "entry").exists()


def test_a_model_whose_module_is_gone_says_so(own_layer_run, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("model.keras", "python.json"):
        text = (own_layer_run / "run" / "models" / "mine" / name).read_bytes()
        (folder / name).write_bytes(text.replace(b"net.py", b"not.py"))
    with pytest.raises(InputError, match=r"there is no file .*not\.py"):
        load_trained(folder / "model.keras")


BAD = """
    import keras

    def network(seq_length=60, channels=4, n_tasks=2, activation="sigmoid", end=()):
        layers = [keras.Input((seq_length, channels)), keras.layers.Flatten(), keras.layers.Dense(n_tasks, activation)]
        return keras.Sequential([*layers, *end])

    class Unregistered(keras.layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.units = units
        def call(self, x):
            return keras.ops.sigmoid(x)

    class Subclassed(keras.Model):
        def call(self, x):
            return keras.ops.sigmoid(keras.ops.mean(x, axis=1))[:, :2]

    value = 3
    def short(): return network(seq_length=50)
    def five_channels(): return network(channels=5)
    def three_tasks(): return network(n_tasks=3)
    def relu(): return network(activation="relu")
    def softmax(): return network(activation="softmax")
    def beyond(): return network(end=[keras.layers.Rescaling(-2.0)])
    def nothing(): pass
    def fails(): raise RuntimeError("two\\nlines")
    def lambda_(): return network(end=[keras.layers.Lambda(lambda x: x)])
    def unregistered(): return network(activation=None, end=[Unregistered(3)])
    def subclassed(): return Subclassed()
    def needs(width): return network()
    def takes(width=1): return network()
"""


@pytest.mark.parametrize(
    ("function", "settings", "message"),
    [
        ("short", {}, r"has the input \(None, 50, 4\), the data set needs \(N, 60, 4\)"),
        ("five_channels", {}, r"has the input \(None, 60, 5\), .* as held: \{channels: 0.0\}"),
        ("three_tasks", {}, r"has the output \(None, 3\), the data set 2 tasks"),
        ("relu", {}, "ends in relu"),
        ("softmax", {}, "ends in softmax"),
        ("beyond", {}, "gives values from -"),
        ("nothing", {}, "is a NoneType, not a Keras model"),
        ("value", {}, "is no function"),
        ("absent", {}, "is no function"),
        ("fails", {}, "failed: RuntimeError: two lines"),
        ("lambda_", {}, "cannot be saved and loaded again"),
        ("unregistered", {}, "cannot be saved and loaded again.*register_keras_serializable"),
        ("subclassed", {}, "shows no layers"),
        ("needs", {}, "needs 'width', which is not given; add settings"),
        ("takes", {"widht": 3}, "'widht' is no argument of the function; did you mean 'width'"),
        ("short", {"width": 3}, "'width' is no argument of the function, it takes none"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(tmp_path, function, settings, message):
    path = write(tmp_path / "net.py", BAD)
    with pytest.raises(InputError, match=message) as error:
        build_model(Model(name="mine", python=f"{path}:{function}", settings=settings), 60, 2, seed=0)
    assert str(error.value).startswith("models.mine.settings" if "no argument" in message else "models.mine.python")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("absent.py:build", "there is no file"),
        ("no_such_module_here:build", "no_such_module_here cannot be imported: ModuleNotFoundError"),
        ("broken.py:build", "broken.py cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_module_that_cannot_be_imported(tmp_path, entry, message):
    write(tmp_path / "broken.py", "1 / 0\n")
    model = config_of(tmp_path, {"python": entry}).models[0]
    for _ in range(2):
        with pytest.raises(InputError, match=message):
            build_model(model, 60, 2, seed=0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"python": "net.py"}, "names no function; write e.g. my_model.py:build"),
        ({"python": "net.py:a-b"}, "names no function"),
        ({"python": "net.py:build", "architecture": "basset"}, "a model needs one of"),
        ({"architecture": "basset", "settings": {"a": 1}}, "settings are those of the function of `python`"),
        ({"python": "net.py:build", "settings": {"seed": 1}}, "settings.seed is given by the run"),
    ],
)
def test_what_a_configuration_cannot_say(tmp_path, model, message):
    with pytest.raises(InputError, match=message):
        config_of(tmp_path, model)
