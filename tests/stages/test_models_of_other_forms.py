"""A run takes models as people have them: explained as given, or trained; what it keeps of each is plain."""

import json
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import yaml
from keras import layers
from sklearn.metrics import roc_auc_score

import simbench_tf as sb
from helpers.models import with_weights
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.run.attributions import read_attributions
from simbench_tf.run.folder import begin
from simbench_tf.run.models import load_model
from simbench_tf.run.trust import check_trusted
from simbench_tf.stages.overwritten import overwritten

LENGTH = 170
ACCESSIBILITY = np.linspace(0, 1, LENGTH, dtype=np.float32)[:, None]


def features(x):
    return layers.GlobalMaxPooling1D()(layers.Conv1D(6, 7, activation="relu")(x))


def plain():
    x = keras.Input((LENGTH, 4))
    return with_weights(keras.Model(x, layers.Dense(1, "sigmoid")(features(x))))


def two_classes():
    x = keras.Input((LENGTH, 4))
    return with_weights(keras.Model(x, layers.Dense(2, "softmax")(features(x))))


def channels_first():
    """Positions last, a fifth channel, a second input, and two heads."""
    x, cell = keras.Input((5, LENGTH), name="dna"), keras.Input((3,), name="cell")
    y = features(layers.Permute((2, 1))(x))
    label = layers.Dense(1, "sigmoid", name="label")(layers.Concatenate()([y, cell]))
    return with_weights(keras.Model({"dna": x, "cell": cell}, {"label": label, "counts": layers.Dense(1)(y)}))


LOGITS = """
import keras

def build(seq_length, n_tasks, seed):
    x = keras.Input((4, seq_length))
    y = keras.layers.Conv1D(3, 7, activation="relu")(keras.layers.Permute((2, 1))(x))
    y = keras.layers.GlobalMaxPooling1D()(y)
    return keras.Model(x, {"label": keras.layers.Dense(n_tasks)(y), "other": keras.layers.Dense(1)(y)})
"""
HELD = {"channels": "accessibility.npy", "cell": [0.5, -1, 2]}
MODELS = [
    {"name": "first", "keras": "first.keras", "trained": True, "output": "label", "held": HELD},
    {"name": "classes", "keras": "classes.h5", "trained": True},
    {"name": "saved", "keras": "saved", "trained": True},
    {"name": "logits", "python": "logits.py:build", "output": "label", "layout": "NCL"},
]


def write(folder, *models, **changes):
    simulation = {
        **TINY_RUN["simulation"],
        "seq_length": LENGTH,
        "n_sequences": 300,
        "tasks": {"K562": {"fraction": 0.4}},
    }
    simulation["elements"] = [each for each in simulation["elements"] if "HepG2" not in each.get("enriched", {})]
    attribution = {"n_sequences": 4, "output": "probability", "methods": [{"method": "grad_x_input"}]}
    training = {**TINY_RUN["training"], "max_batches": 3}
    content = {"simulation": simulation, "attribution": attribution, "training": training, "models": list(models)}
    (folder / "c.yaml").write_text(yaml.safe_dump({**TINY_RUN, **content, **changes}))
    return folder / "c.yaml"


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    channels_first().save(folder / "first.keras")
    plain().export(folder / "saved", verbose=False)
    np.save(folder / "accessibility.npy", ACCESSIBILITY)
    (folder / "logits.py").write_text(LOGITS)
    with warnings.catch_warnings():  # of Keras, about the format, and of NumPy
        warnings.simplefilter("ignore")
        two_classes().save(folder / "classes.h5")
    config = load_config(write(folder, *MODELS))
    begin(config, folder / "run")
    for stage in (pipeline.simulate, pipeline.train, pipeline.attribute, pipeline.score):
        stage(config, folder / "run")
    return folder


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("first", channels_first, {"head": "label", "held": {"channels": ACCESSIBILITY, "cell": [0.5, -1, 2]}}),
        ("classes", two_classes, {"target": 1}),
        ("saved", plain, {}),
    ],
)
def test_a_given_model_is_explained_in_its_form(explained, name, model, said):
    run = explained / "run"
    scores, seq_ids = read_attributions(run / "attributions" / name / "K562" / "grad_x_input@none.h5")
    dataset = sb.open_dataset(run)
    bases = dataset.bases("test")
    rows = pd.Index(dataset.seq_ids("test")).get_indexer(seq_ids)
    direct = sb.attribute(model(), sb.one_hot(bases[rows]), "grad_x_input", output="probability", **said)
    np.testing.assert_allclose(scores, direct.scores, rtol=1e-5, atol=1e-7)
    metrics = json.loads((run / "models" / name / "metrics.json").read_text())["K562"]
    kept = load_model(run / "models" / name / "model.keras")
    assert (kept.input_shape, kept.output_shape) == ((None, LENGTH, 4), (None, 1))
    predicted = kept.predict_on_batch(sb.one_hot(bases))
    assert metrics["auroc"] == pytest.approx(roc_auc_score(dataset.labels("test"), predicted))


def test_a_model_of_logits_is_trained_through_a_sigmoid(explained):
    kept = load_model(explained / "run" / "models" / "logits" / "model.keras")
    predicted = kept.predict_on_batch(sb.one_hot(sb.open_dataset(explained / "run").bases("test")))
    assert ((predicted > 0) & (predicted < 1)).all()
    history = pd.read_csv(explained / "run" / "models" / "logits" / "history.csv")
    assert 0.2 < history.loss.iloc[0] < 2, "of probabilities"


def test_an_untrained_network_like_it_keeps_what_is_held(explained):
    nulls = {
        path.relative_to(explained / "run" / "nulls").parts[0] for path in (explained / "run" / "nulls").rglob("*.h5")
    }
    assert nulls == {"first", "classes", "logits"}, "none like a SavedModel, whose weights are not drawn"
    cloned = keras.models.clone_model(load_model(explained / "run" / "models" / "first" / "model.keras"))
    (held,) = (layer for layer in cloned.layers if layer.name == "held_channels")
    np.testing.assert_allclose(held.value, ACCESSIBILITY)


def test_a_saved_model_in_a_run_of_others_is_code(explained, tmp_path, monkeypatch):
    config = load_config(explained / "c.yaml")
    check_trusted(config, explained / "run", is_given=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # another user
    with pytest.raises(InputError, match=r"would execute code that you have not named: .*saved \(model saved\)"):
        check_trusted(config, explained / "run")


def test_what_is_said_of_the_form_is_part_of_the_model(explained):
    assert overwritten(load_config(explained / "c.yaml"), explained / "run") == []
    for change in ("models.0.held.cell=[0, 0, 0]", "models.3.output=other"):
        lost = {each.stage for each in overwritten(load_config(explained / "c.yaml", [change]), explained / "run")}
        assert "train" in lost


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {**MODELS[0], "output": "labels"},
            r"first.keras, output: the model has no output 'labels'; did you mean",
        ),
        (
            {**MODELS[0], "output": None},
            r"first.keras: has the output .*, by name counts .*name the one to explain, as output: counts$",
        ),
        ({**MODELS[0], "held": {"cell": 1}}, r"as held: \{channels: 0.0\}$"),
        (
            {**MODELS[0], "held": {**HELD, "channels": "no.npy"}},
            r"no.npy: is no file, but models.first.held.channels",
        ),
        (
            {**MODELS[2], "trained": False},
            r"saved: is a SavedModel, which shows no layers to train; add `trained",
        ),
        ({**MODELS[2], "keras": "nothing"}, r"nothing: is no file, but models.saved.keras names it"),
        (
            {"name": "b", "architecture": "basset", "layout": "NCL"},
            "layout is a setting of a model of your own",
        ),
        ({**MODELS[3], "layout": "NHWC"}, r"models.0.layout: "),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told_before_the_data_are_drawn(explained, model, message):
    def run():
        config = load_config(write(explained, {key: value for key, value in model.items() if value is not None}))
        pipeline.run(config, explained / "another")

    with pytest.raises(InputError, match=message) as caught:
        run()
    assert "\n" not in str(caught.value)
    assert not (explained / "another").exists()
    write(explained, *MODELS)
