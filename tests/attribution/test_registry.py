"""What may be asked of attribution: references, settings, methods of one's own; and the keys that name requests."""

import subprocess
import sys

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from keras import layers

from helpers.models import close, random_bases
from simbench_tf.attribution import Parts, attribute, method_key, methods, register_method, registry
from simbench_tf.attribution.references import make_references, parse_references
from simbench_tf.dna import bases_of_one_hot, dinucleotide_counts, encode, one_hot
from simbench_tf.errors import InputError
from simbench_tf.plugins import GROUPS

LENGTH = 60


@pytest.fixture(scope="module")
def net():
    """Build a small network whose gradient depends on where it is taken."""
    stack = [
        layers.Conv1D(6, 7, activation="relu"),
        layers.Flatten(),
        layers.Dense(8, "relu"),
        layers.Dense(2, "sigmoid"),
    ]
    model = keras.Sequential([keras.Input((LENGTH, 4)), *stack])
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.3, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def x():
    bases = random_bases(5, LENGTH)
    bases[2, 10:14] = 4
    return one_hot(bases)


# references


def test_shuffles_keep_dinucleotides_and_depend_on_letters_and_seed_alone():
    bases = random_bases(6, LENGTH)
    bases[4] = bases[1]
    made = make_references(parse_references("shuffle:5"), bases, random_state=2)
    shuffled = bases_of_one_hot(made.reshape(-1, LENGTH, 4)).reshape(6, 5, LENGTH)
    for r in range(5):
        np.testing.assert_array_equal(dinucleotide_counts(shuffled[:, r]), dinucleotide_counts(bases))
    np.testing.assert_array_equal(made[4], made[1])
    assert (made[0, 0] != made[0, 1]).any()
    order = np.array([5, 1, 3])
    np.testing.assert_array_equal(make_references(parse_references("shuffle:5"), bases[order], 2), made[order])
    np.testing.assert_array_equal(make_references(parse_references("shuffle:3"), bases, 2), made[:, :3])
    assert (make_references(parse_references("shuffle:5"), bases, random_state=3) != made).any()


def test_frequency_is_the_composition_of_the_sequence_itself():
    bases = encode(["AACGNNNT", "CCCCCCCC", "NNNNNNNN"])
    made = make_references(parse_references("frequency"), bases)
    np.testing.assert_allclose(made[0, 0, 0], [0.4, 0.2, 0.2, 0.2], rtol=1e-6)
    np.testing.assert_array_equal(made[0, 0, 4:7], 0)
    np.testing.assert_array_equal(made[1, 0], one_hot("CCCCCCCC")[0])
    assert not made[2].any()


def test_arrays_of_references_equal_the_named_ones(net, x):
    bases = bases_of_one_hot(x)
    arguments = {"method": "integrated_gradients", "n_steps": 4, "batch_size": 2}
    for name, array in [
        ("zeros", np.zeros((1, LENGTH, 4))),
        ("frequency", make_references(parse_references("frequency"), bases)),
        ("shuffle:3", make_references(parse_references("shuffle:3"), bases)),
    ]:
        named = attribute(net, x, references=name, **arguments)
        close(attribute(net, x, references=array, **arguments).contributions, named.contributions)


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ("zero", "'zero' is not known"),
        ("shuffle", "shuffle:20"),
        ("shuffle:0", "shuffle:20"),
        ("shuffle:-3", "shuffle:20"),
        (np.zeros((LENGTH, 4)), "does not fit"),
        (np.zeros((2, LENGTH - 1, 4)), "not \\(2, 60, 4\\)"),
        (np.zeros((3, 2, LENGTH, 4)), "not \\(5, 2, 60, 4\\)"),
        (np.full((1, LENGTH, 4), np.nan), "NaN"),
    ],
)
def test_references_that_do_not_fit_are_told(net, x, references, message):
    with pytest.raises(InputError, match=message):
        attribute(net, x, "integrated_gradients", references=references)


# requests, keys, registry


@pytest.mark.parametrize(
    ("method", "references", "settings", "message"),
    [
        ("integrated_gradient", None, {}, "did you mean 'integrated_gradients'"),
        ("integrated_gradients", None, {"n_step": 5}, "did you mean 'n_steps'"),
        ("integrated_gradients", None, {"n_steps": 0}, "greater than or equal to 1"),
        ("integrated_gradients", None, {"n_steps": 2.5}, "n_steps: cannot be 2.5"),
        ("integrated_gradients", None, {"n_steps": "5"}, "valid integer"),
        ("integrated_gradients", None, {"n_steps": True}, "valid integer"),
        ("integrated_gradients", None, {"n_steps": float("nan")}, "finite"),
        ("integrated_gradients", None, {"path": "straight"}, "'linear' or 'shuffle'"),
        ("integrated_gradients", None, {"random_state": 5}, "unknown setting"),
        ("integrated_gradients", "zeros", {"path": "shuffle"}, "zeros is no set of sequences"),
        ("integrated_gradients", np.full((1, 5, 4), 0.25), {"path": "shuffle"}, "array is no set of sequences"),
        ("grad_x_input", None, {"correct": 1}, "valid boolean"),
        ("ism", None, {"n_steps": 5}, "unknown setting .n_steps."),
        ("deepshap", None, {"n_steps": 5}, "known: strands, shifts"),
        ("ism", "zeros", {}, "takes no references"),
        ("integrated_gradients", "none", {}, "'none' is not known"),
    ],
)
def test_requests_that_make_no_sense_are_told(method, references, settings, message):
    with pytest.raises(InputError, match=message) as caught:
        method_key(method, references, settings)
    assert "\n" not in str(caught.value)


def test_wrong_arguments_are_told(net, x):
    with pytest.raises(InputError, match="choose among 0 to 1"):
        attribute(net, x, target=2)
    with pytest.raises(InputError, match="not a Keras model"):
        attribute("model", x)
    with pytest.raises(InputError, match="probability"):
        attribute(net, x, output="logits")
    with pytest.raises(ValueError, match="neither one-hot nor zero"):
        attribute(net, 2 * x)
    with pytest.raises(ValueError, match="shape"):
        attribute(net, x[0])
    with pytest.raises(ValueError, match="empty"):
        attribute(net, x, target=[])
    with pytest.raises(ValueError, match="batch_size"):
        attribute(net, x, batch_size=0)


@pytest.mark.parametrize(
    ("method", "references", "settings", "key"),
    [
        ("ism", None, {}, "ism@none"),
        ("ism", "none", {}, "ism@none"),
        ("integrated_gradients", None, {"n_steps": 20}, "integrated_gradients@zeros"),
        ("integrated_gradients", "zeros", {"n_steps": 50}, "integrated_gradients@zeros+n_steps=50"),
        ("integrated_gradients", "zeros", {"n_steps": 50.0}, "integrated_gradients@zeros+n_steps=50"),
        ("integrated_gradients", "zeros", {"n_steps": np.int64(50)}, "integrated_gradients@zeros+n_steps=50"),
        (
            "integrated_gradients",
            "shuffle:020",
            {"path": "shuffle", "correct": True},
            "integrated_gradients@shuffle20+correct=true+path=shuffle",
        ),
    ],
)
def test_keys_are_readable(method, references, settings, key):
    assert method_key(method, references, settings) == key


def test_arrays_of_references_have_keys_of_their_own():
    rng = np.random.default_rng(0)
    arrays = [
        rng.random((2, 3, 4)),
        rng.random((2, 3, 4)),
        np.zeros((1, 6, 4)),
        np.zeros((2, 3, 4)),
        np.zeros((1, 2, 3, 4)),
    ]
    keys = {method_key("integrated_gradients", array, {}) for array in arrays}
    assert len(keys) == len(arrays)
    assert method_key("integrated_gradients", arrays[0].copy(), {}) in keys


@pytest.fixture(scope="module")
def example_method():
    @register_method("example", source="this test", references="zeros")
    def example(
        network, one_hot, references, *, a: int | float | str | bool | None = None, b: str = "", c: float = 0.5
    ) -> Parts:
        """Nothing but settings of every kind."""
        return Parts(np.zeros((len(network.targets), *one_hot.shape), np.float32))

    yield "example"
    del registry._METHODS["example"]


scalar = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(), st.sampled_from(["true", "None", "none", "1", "1.0", "-1", "1e5", "", "a+b=c", "%", "é", "~", "/"]),
)  # fmt: skip
request = st.fixed_dictionaries(
    {}, optional={"a": scalar, "b": st.text(), "c": st.floats(allow_nan=False, allow_infinity=False)}
)
named_references = st.sampled_from(["zeros", "frequency", "shuffle:1", "shuffle:11", None])


@hypothesis.settings(max_examples=400)
@hypothesis.given(one=st.tuples(named_references, request), other=st.tuples(named_references, request))
def test_two_settings_never_share_a_key(example_method, one, other):
    def meaning(references, chosen):
        full = {"a": None, "b": "", "c": 0.5, **chosen}
        # numbers that are equal are one setting, but a truth value or a text is no number
        kinds = {name: "number" if type(v) in (int, float) else type(v).__name__ for name, v in full.items()}
        return references or "zeros", [(name, kinds[name], full[name]) for name in sorted(full)]

    keys = [method_key(example_method, *each) for each in (one, other)]
    assert (keys[0] == keys[1]) == (meaning(*one) == meaning(*other))
    for key in keys:
        assert key.isascii()
        assert len(key) <= 200
        assert not set(key) & set('/\\:*?"<>| \n\0')


def test_methods_are_listed_with_what_they_take():
    listed = methods()
    assert set(listed) >= {"ism", "saliency", "grad_x_input", "integrated_gradients"}
    ig = listed["integrated_gradients"]
    assert ig.settings == {"n_steps": 20, "path": "linear", "correct": False}
    assert ig.references == "zeros"
    assert listed["ism"].references is None
    assert all(method.description and method.source for method in listed.values())


def test_methods_have_titles_for_reports():
    listed = methods()
    assert listed["smoothgrad"].title == "SmoothGrad"
    assert listed["deeplift_genomics"].title == "DeepLIFT (genomics)"
    built_in = [method for method in listed.values() if method.function.__module__.startswith("simbench_tf.")]
    assert len({method.title for method in built_in}) == len(built_in)

    def of_ones_own(network, one_hot) -> Parts:
        """A method."""

    try:
        register_method("of_ones_own", source="this test")(of_ones_own)
        assert methods()["of_ones_own"].title == "of ones own"
    finally:
        del registry._METHODS["of_ones_own"]


def test_a_method_of_ones_own_is_called_with_its_settings(net, x):
    @register_method("own", source="this test", references="frequency")
    def own(network, one_hot, references, *, power: int = 1, random_state: int = 0) -> Parts:
        """References to a power."""
        scaled = (references**power).mean(axis=1) * one_hot + np.float32(random_state)
        return Parts(np.stack([scaled] * len(network.targets)))

    try:
        result = attribute(net, x, "own", power=2, random_state=3)
        made = make_references(parse_references("frequency"), bases_of_one_hot(x))[:, 0]
        close(result.contributions, made**2 * x + 3)
        with pytest.raises(ValueError, match="already"):
            register_method("own", source="again", references="zeros")(own)
    finally:
        del registry._METHODS["own"]


def test_methods_of_another_form_are_refused():
    def without_default(network, one_hot, *, n: int) -> Parts:
        """A setting must have a default."""

    def without_references(network, one_hot) -> Parts:
        """Its references are not taken."""

    def undocumented(network, one_hot) -> Parts: ...

    with pytest.raises(ValueError, match="default"):
        register_method("faulty", source="")(without_default)
    with pytest.raises(ValueError, match="references"):
        register_method("faulty", source="", references="zeros")(without_references)
    with pytest.raises(ValueError, match="docstring"):
        register_method("faulty", source="")(undocumented)
    with pytest.raises(ValueError, match="lower-case"):
        register_method("Fau/lty", source="")
    assert "faulty" not in methods()


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """Install a package with two entry points, one of them broken."""
    folder = tmp_path / "plug_in-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: plug_in\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        f"[{GROUPS['method']}]\nplugged_in = simbench_plug_in\nbroken = simbench_plug_in_missing\n"
    )
    (tmp_path / "simbench_plug_in.py").write_text(
        "from simbench_tf.attribution import register_method\n"
        "@register_method('plugged_in', source='a plug-in')\n"
        "def plugged_in(network, one_hot, *, weight: float = 1.0):\n"
        "    'From another package.'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry._load_entry_points.cache_clear()
    yield
    registry._METHODS.pop("plugged_in", None)
    sys.modules.pop("simbench_plug_in", None)
    registry._load_entry_points.cache_clear()


def test_other_packages_add_methods_by_entry_points(plug_in):
    with pytest.warns(
        UserWarning, match=r"plug_in 1\.0: its method 'broken' cannot be loaded: .*simbench_plug_in_missing"
    ):
        listed = methods()
    assert listed["plugged_in"].settings == {"weight": 1.0}
    assert listed["plugged_in"].description == "From another package"
    assert method_key("plugged_in", None, {"weight": 0.25}) == "plugged_in@none+weight=0.25"


def test_methods_of_this_package_are_found_without_a_look_into_others(plug_in):
    assert method_key("ism", None, {}) == "ism@none"
    assert "plugged_in" not in registry._METHODS
    assert method_key("plugged_in", None, {}) == "plugged_in@none"  # no warning: the broken one is not asked for
    with pytest.raises(InputError, match=r"^plug_in 1\.0: its method 'broken' cannot be loaded"):
        method_key("broken", None, {})


def test_listing_methods_and_checking_requests_loads_no_tensorflow():
    code = (
        "import sys; from simbench_tf.attribution import methods, method_key; methods();"
        "method_key('ism', None, {}); assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
