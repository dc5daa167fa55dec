"""What can be known is said before anything is computed: the run's folder is not even made."""

import numpy as np
import pytest
import yaml

from helpers.folders import times
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.simulate.text import HEADER, Site, site_text
from simbench_tf.stages import simulate as simulate_stage
from simbench_tf.stages import train as train_stage
from simbench_tf.stages.checks import check_ahead

SIMULATION = {"kind": "grammar", "seq_length": 60, "n_sequences": 200, "tasks": {"K562": {}, "HepG2": {}}}
FUNCTIONS = """
import keras

def build(seq_length, n_tasks):
    x = inputs = keras.Input((seq_length, 4))
    return keras.Model(inputs, keras.layers.Dense(n_tasks, "sigmoid")(keras.layers.Flatten()(x)))

def one_output(seq_length):
    return build(seq_length, 1)
"""
# kipoi leaves its settings file open
KIPOI = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
GOOD = {"name": "good", "python": "mine.py:build"}


@pytest.fixture
def computed(monkeypatch):
    """What was computed: nothing, while a test wants an error ahead."""
    calls = []
    monkeypatch.setattr(simulate_stage, "prepare", lambda *_: calls.append("simulate"))
    return calls


def config_of(folder, *models, simulation=SIMULATION, **more):
    import keras

    (folder / "mine.py").write_text(FUNCTIONS)
    bad = (("long", 80, 2, "sigmoid"), ("three", 60, 3, "sigmoid"), ("softplus", 60, 2, "softplus"))
    for name, length, outputs, end in bad:
        layers = [keras.Input((length, 4)), keras.layers.Flatten(), keras.layers.Dense(outputs, end)]
        keras.Sequential(layers).save(folder / f"{name}.keras")
    (folder / "c.yaml").write_text(yaml.safe_dump({"simulation": simulation, "models": list(models), **more}))
    return load_config(folder / "c.yaml")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"keras": "missing.keras"}, r"missing.keras: is no file, but models.bad.keras names it"),
        ({"keras": "long.keras"}, "80"),
        ({"keras": "three.keras"}, "3"),
        ({"python": "mine.py:bild"}, "bild"),
        ({"python": "other.py:build"}, "other.py"),
        ({"python": "mine.py:one_output"}, "2"),
        pytest.param({"kipoi": "no/such_entry"}, "no/such_entry", marks=KIPOI),
        ({"architecture": "beluga"}, "models.bad: .*60"),
        ({"keras": "missing.keras", "trained": True}, r"missing.keras: is no file, but models.bad.keras names it"),
        ({"keras": "mine.py", "trained": True}, r"mine.py: is no model that Keras can load"),
        ({"keras": "long.keras", "trained": True}, r"long.keras: has the input \(None, 80, 4\), the data set needs"),
        ({"keras": "three.keras", "trained": True}, r"three.keras: has 3 outputs, the data set 2 tasks; say which is"),
        (
            {"keras": "softplus.keras", "trained": True},
            r"softplus.keras: ends in .* softplus, neither a sigmoid nor a linear layer; set attribution.output=prob",
        ),
        (
            {"keras": "three.keras", "trained": True, "outputs": {"K562": 0, "HepG2": 3}},
            r"models.bad.outputs.HepG2: is 3, but .*three.keras has 3 outputs; give a number from 0 to 2",
        ),
    ],
    ids=str,
)
def test_a_model_that_cannot_be_trained_is_told_before_the_data_are_drawn(tmp_path, computed, model, message):
    config = config_of(tmp_path, GOOD, {"name": "bad", **model})
    with pytest.raises(InputError, match=message):
        pipeline.run(config, tmp_path / "run")
    assert computed == []
    assert not (tmp_path / "run").exists()


LAYERS = """
import keras

def build(seq_length, n_tasks):
    x = inputs = keras.Input((seq_length, 4))
    x = keras.layers.LSTM(4)(x)
    return keras.Model(inputs, keras.layers.Dense(n_tasks, "sigmoid")(x))
"""


POOLED = """
import keras

def build(seq_length, n_tasks):
    x = inputs = keras.Input((seq_length, 4))
    x = keras.layers.MaxPooling1D(54)(keras.layers.Conv1D(3, 5, activation="relu")(x))
    return keras.Model(inputs, keras.layers.Dense(n_tasks, "sigmoid")(keras.layers.Flatten()(x)))
"""
OWN = 'give its convolutions padding="same", or choose a length that its pooling divides'


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"method": "deeplift_rescale", "references": "zeros"}, "LSTM"),
        ({"method": "gradcam", "layer": "conv_7"}, "conv_7"),
        ({"method": "ism"}, None),
        ({"method": "integrated_gradients", "references": "shuffle:20", "n_steps": 100}, None),
    ],
    ids=str,
)
def test_a_method_that_cannot_take_a_model_is_told_before_the_data_are_drawn(tmp_path, computed, method, message):
    config = config_of(tmp_path, {"name": "net", "python": "lstm.py:build"}, attribution={"methods": [method]})
    (tmp_path / "lstm.py").write_text(LAYERS)
    if message is None:
        check_ahead(config, tmp_path / "run")
        return
    with pytest.raises(InputError, match=message):
        pipeline.run(config, tmp_path / "run")
    assert computed == []


def test_a_file_of_the_simulation_is_missed_before_a_model_is_built(tmp_path, computed, monkeypatch):
    monkeypatch.setattr("simbench_tf.stages.checks.check_models", lambda *_: computed.append("models") or {})
    config = config_of(tmp_path, GOOD, simulation={**SIMULATION, "motifs": "my.meme"})
    with pytest.raises(InputError, match=r"my.meme: is no file, but simulation.motifs names it"):
        pipeline.run(config, tmp_path / "run")
    assert computed == []


def texts(tmp_path):
    """Data of kind text, of 60 bases."""
    rng = np.random.default_rng(0)
    for label in ("positives", "negatives"):
        texts = ["".join(rng.choice(list("ACGT"), 60)) for _ in range(40)]
        sites = [site_text(Site("M", False, 10, 18, 9.0, 1e-5, text[10:18])) for text in texts]
        lines = [f"{label}{i}\t{text}\t{site}\n" for i, (text, site) in enumerate(zip(texts, sites, strict=True))]
        (tmp_path / f"{label}.txt").write_text(f"{HEADER}\n{''.join(lines)}")
    return {"kind": "text", "positives": {"K562": "positives.txt"}, "negatives": "negatives.txt"}


def test_where_only_the_data_say_the_length_models_are_checked_before_the_first_is_trained(tmp_path, monkeypatch):
    config = config_of(tmp_path, GOOD, {"name": "bad", "keras": "long.keras"}, simulation=texts(tmp_path))
    trained = []
    monkeypatch.setattr(train_stage, "write", lambda *_: trained.append("model"))
    with pytest.raises(InputError, match="80"):
        pipeline.run(config, tmp_path / "run")
    assert (tmp_path / "run" / "dataset" / "dataset.json").is_file()
    assert trained == []


@pytest.mark.parametrize("kind", ["one model", "two models"])
def test_where_only_the_data_say_the_length_methods_are_checked_before_the_first_is_trained(
    tmp_path, monkeypatch, kind
):
    (tmp_path / "lstm.py").write_text(LAYERS)
    models = [{"name": "net", "python": "lstm.py:build"}, *([GOOD] if kind == "two models" else [])]
    methods = [{"method": "saliency"}, {"method": "deeplift_rescale", "references": "zeros"}]
    config = config_of(tmp_path, *models, simulation=texts(tmp_path), attribution={"methods": methods})
    trained = []
    monkeypatch.setattr(train_stage, "write", lambda *_: trained.append("model"))
    with pytest.raises(InputError, match="LSTM"):
        pipeline.run(config, tmp_path / "run")
    assert (tmp_path / "run" / "dataset" / "dataset.json").is_file()
    assert trained == []


def test_new_methods_are_checked_against_models_that_are_there_and_those_alone(
    tiny_config, copied_run, monkeypatch, computed
):
    known = TINY_RUN["attribution"]["methods"]
    ending = {"method": "gradcam", "layer": "conv_7"}
    attributed = times(copied_run / "attributions")
    with pytest.raises(InputError, match="conv_7"):
        pipeline.run(changed(tiny_config, [*known, ending]), copied_run)
    assert times(copied_run / "attributions") == attributed
    checked = []
    monkeypatch.setattr(
        "simbench_tf.stages.checks.check_methods",
        lambda config, network, length, new: checked.append((length, [each.method for each in new])),
    )
    check_ahead(changed(tiny_config, [*known, {"method": "saliency"}]), copied_run)
    assert checked == [(200, ["saliency"])]
    check_ahead(load_config(tiny_config), copied_run)
    assert len(checked) == 1
    assert computed == []


def test_a_model_that_is_there_and_will_be_trained_otherwise_is_checked_as_one_that_is_not(
    tiny_config, tiny_run, monkeypatch
):
    built = []
    monkeypatch.setattr(
        "simbench_tf.stages.checks.check_models",
        lambda _, missing, *__: built.extend(each.name for each in missing) or {},
    )
    check_ahead(load_config(tiny_config, ["training.max_batches=25"]), tiny_run)
    assert built == ["basset"]


def changed(tiny_config, methods):
    """The small run's configuration with other methods."""
    settings = yaml.safe_load(tiny_config.read_text())
    path = tiny_config.with_name("methods.yaml")
    path.write_text(yaml.safe_dump({**settings, "attribution": {**settings["attribution"], "methods": methods}}))
    return load_config(path)


def test_models_that_are_there_are_not_built_again(tiny_config, tiny_run, monkeypatch):
    built = []
    monkeypatch.setattr("simbench_tf.stages.checks.check_models", lambda *_: built.append("models") or {})
    pipeline.run(load_config(tiny_config), tiny_run)
    assert built == []


def test_which_bases_a_network_cannot_see_is_said_once_and_ahead(tmp_path, computed, caplog):
    simulation = SIMULATION | {"seq_length": 400}
    models = [
        {"name": "valid", "architecture": "basset", "width": 0.02, "seeds": 3},
        {"name": "same", "architecture": "basset", "width": 0.02, "padding": "same"},
        {"name": "deep", "architecture": "beluga", "width": 0.02},
        {"name": "wide", "architecture": "beluga", "width": 0.02, "padding": "same"},
        {"name": "mine", "python": "pooled.py:build"},
        {"name": "file", "keras": "pooled.keras"},
        {"name": "done", "keras": "pooled.keras", "trained": True},
    ]
    (tmp_path / "pooled.py").write_text(POOLED)
    names = {}
    exec(POOLED, names)
    names["build"](400, 2).save(tmp_path / "pooled.keras")
    check_ahead(config_of(tmp_path, *models, simulation=simulation), tmp_path / "run")
    notes = [record.getMessage() for record in caplog.records if "cannot see" in record.getMessage()]
    assert notes == [
        f"models.{name} cannot see {what}, and is not scored there{mend}"
        for name, what, mend in (
            ("valid", "40 of 400 bases, from 360 to 399", "; `padding: same` sees all"),
            ("deep", "10 of 400 bases, from 390 to 399", "; `padding: same` sees all"),
            # of 396 positions 7 pools of 54 take 378: the last sees bases up to 377 + 4
            ("mine", "18 of 400 bases, from 382 to 399", f"; {OWN}"),
            ("file", "18 of 400 bases, from 382 to 399", f"; {OWN}"),
            ("done", "18 of 400 bases, from 382 to 399", ""),
        )
    ]
    assert not computed
