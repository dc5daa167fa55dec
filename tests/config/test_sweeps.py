"""Sweeps: a list for a value is an entry a value, in a stated order; and the presets that ask the paper's questions."""

import itertools

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from simbench_tf import pipeline
from simbench_tf.attribution import method_key, methods
from simbench_tf.attribution.registry import _adapter
from simbench_tf.config import config_dict, load_config, presets, variants_of, write_config
from simbench_tf.config.sweeps import expand_methods, expand_models
from simbench_tf.errors import InputError
from simbench_tf.models import basset, beluga
from simbench_tf.score import without_nulls
from simbench_tf.training import build_model

GRAMMAR = "simulation: {kind: grammar}\n"


def load(tmp_path, text, overrides=()):
    (tmp_path / "c.yaml").write_text(text)
    return load_config(tmp_path / "c.yaml", overrides)


def keys_of(config):
    return [method_key(each.method, each.references, each.settings) for each in config.attribution.methods]


def test_the_product_has_the_first_list_slowest_and_the_last_fastest(tmp_path):
    entry = '{method: integrated_gradients, references: [zeros, "shuffle:5"], n_steps: [5, 20, 100]}'
    config = load(tmp_path, GRAMMAR + f"attribution: {{methods: [{{method: ism}}, {entry}, {{method: saliency}}]}}")
    swept = [
        f"integrated_gradients@{references}{steps}"
        for references, steps in itertools.product(["zeros", "shuffle5"], ["+n_steps=5", "", "+n_steps=100"])
    ]
    assert keys_of(config) == ["ism@none", *swept, "saliency@none"]


def test_a_bare_name_is_a_method_without_settings(tmp_path):
    config = load(tmp_path, GRAMMAR + "attribution: {methods: [ism, {method: saliency}, grad_x_input]}")
    assert keys_of(config) == ["ism@none", "saliency@none", "grad_x_input@none"]
    assert keys_of(load(tmp_path, GRAMMAR, ["attribution.methods=[ism]"])) == ["ism@none"]


def test_methods_share_a_setting_that_sweeps(tmp_path):
    entry = "{method: [gradcam, grad_x_activation], layer: [first, last]}"
    config = load(tmp_path, GRAMMAR + f"attribution: {{methods: [{entry}]}}")
    assert keys_of(config) == [
        "gradcam@none+layer=first",
        "gradcam@none",
        "grad_x_activation@none+layer=first",
        "grad_x_activation@none",
    ]


def test_a_sweep_can_be_set_from_the_command_line(tmp_path):
    text = GRAMMAR + "attribution: {methods: [{method: integrated_gradients}]}"
    assert len(load(tmp_path, text, ["attribution.methods.0.n_steps=[2, 3]"]).attribution.methods) == 2


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["method", "layer", "n_steps", "references"]),
            st.one_of(
                st.integers(0, 9),
                st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
                st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True),
            ),
        ),
        max_size=3,
    )
)
def test_expanding_is_a_product_that_holds_no_list_and_expands_to_itself(entries):
    expanded = expand_methods(entries)
    assert not any(isinstance(value, list) for entry in expanded for value in entry.values())
    assert expand_methods(expanded) == expanded
    naive = []
    for entry in entries:
        options = [
            [(key, one) for one in (value if isinstance(value, list) else [value])] for key, value in entry.items()
        ]
        naive += [dict(chosen) for chosen in itertools.product(*options)]
    assert expanded == naive


def test_models_are_named_by_what_differs(tmp_path):
    text = (
        GRAMMAR
        + """
models:
  - {architecture: basset, kernel_size: [7, 11, 19, 29]}
  - {name: wide, architecture: beluga, width: [.5, 1.0], kernel_size: [8]}
  - {name: own, architecture: basset}
"""
    )
    config = load(tmp_path, text)
    assert [(each.name, each.kernel_size, each.width) for each in config.models] == [
        *((f"basset-kernel_size{size}", size, 1.0) for size in (7, 11, 19, 29)),
        ("wide-width0.5-kernel_size8", 8, 0.5),
        ("wide-width1-kernel_size8", 8, 1.0),
        ("own", None, 1.0),
    ]
    named = expand_models([{"name": "net", "architecture": ["basset", "beluga"], "width": [1]}])
    assert [entry["name"] for entry in named] == ["net-basset-width1", "net-beluga-width1"]


def test_the_resolved_configuration_holds_the_expanded_lists(tmp_path):
    text = (
        GRAMMAR
        + "models: [{architecture: basset, width: [.1, .2]}]\nattribution: {methods: [{method: [ism, saliency]}]}"
    )
    config = load(tmp_path, text)
    write_config(config, tmp_path / "config.yaml")
    raw = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert raw["attribution"]["methods"] == [{"method": "ism"}, {"method": "saliency"}]
    assert [model["name"] for model in raw["models"]] == ["basset-width0.1", "basset-width0.2"]
    assert config_dict(load_config(tmp_path / "config.yaml")) == config_dict(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attribution: {methods: [{method: ism}, {method: gradcam, layer: [first, first]}]}",
         "attribution.methods: entry 1: layer holds 'first' twice; leave one out"),
        ("attribution: {methods: [{method: integrated_gradients, n_steps: [5, 20, 5.0]}]}",
         "attribution.methods: entry 0: n_steps holds 5.0 twice"),
        ("attribution: {methods: [{method: gradcam, layer: []}]}", "entry 0: layer is an empty list"),
        ("attribution: {methods: [{method: gradcam, layer: [[a]]}]}", "sweeps over ['a'], which is no plain value"),
        ("models: [{architecture: basset, width: [1, 1.0]}]", "models: entry 0: width holds 1.0 twice"),
        ("models: [{architecture: basset, name: [a, b]}]", "models: name cannot be a list"),
        ("models: [{name: a, keras: [x/a.keras, b.keras]}]", "models: keras cannot be a list"),
        ("models: [{architecture: basset, width: [1, -1]}]", "models.1.width: Input should be greater than 0"),
        ("models: [{name: a, keras: a.keras, kernel_size: 7}]", "kernel_size is a setting of `architecture`"),
        ("models: [{architecture: basset, kernel_size: 0}]", "models.0.kernel_size: "),
    ],
)  # fmt: skip
def test_what_cannot_sweep_is_said_in_one_line(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        load(tmp_path, GRAMMAR + text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entries", "key"),
    [
        ("[{method: gradcam, layer: [first, last]}, {method: gradcam}]", "gradcam@none"),
        ('[{method: deeplift_rescale, references: ["shuffle:5", "shuffle:05"]}]', "deeplift_rescale@shuffle5"),
    ],
)
def test_what_is_asked_for_twice_names_the_key(tmp_path, entries, key):
    config = load(tmp_path, GRAMMAR + f"attribution: {{methods: {entries}}}")
    with pytest.raises(InputError, match=f"attribution.methods: asks for {key} twice; leave one out"):
        pipeline.begin(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_setting_of_a_method_is_a_list_by_nature():
    """A setting that takes a list could not be told from a sweep of it."""
    settings = [(method, name) for method in methods().values() for name in method.settings]
    assert len(settings) > 10
    for method, name in settings:
        for value in ([], ["first"], [1, 2], [[0.5, 1.0]]):
            with pytest.raises(ValidationError):
                _adapter(method.function, name).validate_python(value)


@pytest.mark.parametrize(("build", "default", "length"), [(basset, 19, 400), (beluga, 8, 400)])
def test_the_first_kernel_is_as_long_as_asked_and_the_papers_by_default(build, default, length):
    models = {size: build(length, width=0.02, kernel_size=size) for size in (5, default, 30)}
    kernels = {size: model.get_layer("conv1").kernel.shape[0] for size, model in models.items()}
    assert kernels == {5: 5, default: default, 30: 30}
    assert [m.get_layer("conv2").kernel.shape[0] for m in models.values()] == [
        build(length).get_layer("conv2").kernel.shape[0]
    ] * 3
    assert build(length, width=0.02).count_params() == models[default].count_params()
    # the shortest sequence grows by what the kernel grows
    with pytest.raises(ValueError, match=f"the least that works is {_least(build) + 30 - default}"):
        build(50, kernel_size=30)
    with pytest.raises(ValueError, match="kernel_size must be at least 1"):
        build(length, kernel_size=0)


def _least(build):
    return {basset: 168, beluga: 310}[build]


def test_the_kernel_of_a_configuration_is_built(tmp_path):
    config = load(tmp_path, GRAMMAR + "models: [{architecture: [basset, beluga], width: .02, kernel_size: [7]}]")
    networks = [build_model(each, 400, 1, seed=0) for each in config.models]
    assert [network.get_layer("conv1").kernel.shape[0] for network in networks] == [7, 7]


# presets


@pytest.mark.parametrize("name", presets())
def test_no_preset_asks_for_the_same_twice(name):
    config = load_config(name)
    assert len(set(keys_of(config))) == len(config.attribution.methods)


#: Presets that ask a question of the paper or the talk, and the one thing that each of their variants changes.
QUESTIONS = [
    "which_reference",
    "how_many_shuffles",
    "cam_layers",
    "kernel_length",
    "gradient_paths",
    "negative_implants",
    "negative_implants:without",
]


@pytest.mark.parametrize("source", QUESTIONS)
def test_questions_are_asked_of_the_sequences_of_the_demo(source):
    demo, config = load_config("demo"), load_config(source)
    if source != "negative_implants:without":
        assert (config.seed, config.simulation) == (demo.seed, demo.simulation)
    name = source.partition(":")[0]
    larger = [variant for variant in variants_of(presets()[name]) if "full" in variant]
    assert larger
    for variant in larger:
        full = load_config(f"{name}:{variant}")
        small = load_config(f"{name}:without") if variant.endswith("without") else demo
        assert full.simulation == small.simulation.model_copy(update={"n_sequences": 200_000})
        assert full.attribution.methods == config.attribution.methods


def test_implants_are_in_negatives_or_not_and_as_many_in_positives():
    motifs = {}
    for variant in ("with", "without"):
        elements = load_config(f"negative_implants:{variant}").simulation.elements
        motifs[variant] = {
            each.name: (each.rate, each.rate + sum(each.enriched.values()), each.position) for each in elements
        }
    assert list(motifs["with"]) == list(motifs["without"])
    for name, (in_negatives, in_positives, position) in motifs["with"].items():
        bears = in_positives > in_negatives
        assert motifs["without"][name] == (0 if bears else in_negatives, pytest.approx(in_positives), position)


@pytest.mark.slow
@pytest.mark.parametrize("source", QUESTIONS)
def test_questions_are_answered(source, tmp_path):
    small = ["simulation.n_sequences=300", "models.0.width=.03", "training.max_batches=3", "attribution.n_sequences=2"]
    config = load_config(source, [*small, "attribution.tasks=[K562]"])
    # each method is compiled for each model, which takes all the time; networks of both kinds are in other tests
    n_models = 2 if source == "kernel_length" else 1
    config = config.model_copy(update={"models": config.models[:n_models]})
    report = pipeline.run(config, tmp_path / "run")
    summary = without_nulls(pd.read_csv(tmp_path / "run" / "scores" / "summary.csv"))
    assert summary["key"].tolist() == keys_of(config) * len(config.models)
    assert summary["auprc"].between(0, 1).all()
    assert report.is_file()
