"""Configurations with comments: read back they are the settings, and each comment is the key's own meaning."""

from hypothesis import given
from hypothesis import strategies as st

from simbench_tf.config.commented import commented_yaml
from simbench_tf.config.schema import keys
from simbench_tf.config.yaml_text import parse_yaml

texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)
values = st.one_of(
    texts, st.integers(-9, 9999), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)
)
nested = st.recursive(values, lambda inner: st.one_of(st.lists(inner), st.dictionaries(texts, inner)), max_leaves=6)


@given(
    simulation=st.dictionaries(st.sampled_from(["kind", "genome", "peaks", "splits"]), nested),
    models=st.lists(st.dictionaries(texts.filter(bool), nested, min_size=1), min_size=1),
    name=texts,
)
def test_what_is_read_back_is_what_was_written(simulation, models, name):
    written = {"name": name, "simulation": simulation, "models": models}
    read = parse_yaml(commented_yaml(written, ["Of: what?", "", "- a: 1"], "PeaksSimulation"), "a.yaml").data
    assert read == written


def test_every_key_has_its_own_meaning_beside_it_or_above():
    text = commented_yaml({"simulation": {"genome": "a.fa", "scan_pvalue": 1e-4}, "seed": 3}, [], "PeaksSimulation")
    meanings = {(key.record, key.name): key.meaning for key in keys()}
    shown = " ".join(text.replace("#", " ").split())
    for place in (("PeaksSimulation", "genome"), ("PeaksSimulation", "scan_pvalue"), ("Config", "seed")):
        assert meanings[place]
        assert " ".join(meanings[place].split()) in shown
    assert max(map(len, text.splitlines())) <= 100
