# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own model, your own attribution method
#
# Is your network easier to explain than the usual ones? Does your method find motifs that others miss? Both join the
# list in a few lines. A minute on two cores.

# %%
import os
import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import yaml

import simbench_tf as sb
from simbench_tf import pipeline, plot
from simbench_tf.attribution import Parts, methods
from simbench_tf.config import presets

N_SEQUENCES = int(os.environ.get("N_SEQUENCES", "12000"))
MAX_BATCHES = int(os.environ.get("MAX_BATCHES", "500"))
N_EXPLAINED = int(os.environ.get("N_EXPLAINED", "50"))
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## 1. A model
#
# Any functional or Sequential Keras model will do: one-hot DNA (N, L, 4) in, a probability for each task out. This one
# is a motif scanner: 32 filters slide along the sequence, and of each only the best hit and the mean over the sequence
# count, not where they stood. It has 2,178 weights where a full Basset has millions.

# %%
keras.utils.set_random_seed(1)
one_hot = keras.Input((400, 4), name="one_hot")
x = keras.layers.Conv1D(32, 15, padding="same", use_bias=False, name="filters")(one_hot)
x = keras.layers.BatchNormalization()(x)
x = keras.layers.ReLU()(x)
x = keras.layers.MaxPooling1D(10)(x)
x = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling1D()(x), keras.layers.GlobalMaxPooling1D()(x)])
model = keras.Model(one_hot, keras.layers.Dense(2, activation="sigmoid", name="tasks")(x))
model.save(folder / "mine.keras")
assert model.count_params() == 2178

# %% [markdown]
# ## 2. A method
#
# Occlusion (Zeiler & Fergus 2014) in ten lines: hide a window of bases, see how far the output falls, and share the
# fall out among the window's bases. `network.outputs` gives the explained output of every target and sequence, (T, n).
# A keyword of the function is a setting of the method, checked by its annotation.


# %%
@sb.register_method("occlusion", source="Zeiler & Fergus 2014")
def occlusion(network, one_hot, *, width: int = 9):
    """Fall of the output when `width` bases are hidden, shared out among them."""
    outputs = network.outputs(one_hot)
    scores = np.zeros((*outputs.shape, one_hot.shape[1]), np.float32)
    for start in range(one_hot.shape[1] - width + 1):
        hidden = one_hot.copy()
        hidden[:, start : start + width] = 0
        scores[:, :, start : start + width] += (outputs - network.outputs(hidden))[:, :, None] / width
    return Parts(scores[..., None] * one_hot)


known = methods()
known["occlusion"].description, known["occlusion"].settings

# %% [markdown]
# ## 3. A whole run
#
# From here on both are known by name. The configuration is that of the `demo` preset, with our model, and with our
# method among four others.

# %%
demo = yaml.safe_load(presets()["demo"].read_text())
mine = {
    "models": [{"name": "mine", "keras": "mine.keras"}],
    "training": {"batch_size": 100, "learning_rate": 0.005, "max_batches": MAX_BATCHES},
    "attribution": {
        "n_sequences": N_EXPLAINED,
        "tasks": ["HepG2"],
        "methods": [
            {"method": "occlusion", "width": 9},
            {"method": "ism"},
            {"method": "saliency"},
            {"method": "integrated_gradients", "references": "shuffle:10", "n_steps": 20},
            {"method": "deeplift_rescale", "references": "shuffle:10"},
        ],
    },
}
print(yaml.safe_dump(mine, sort_keys=False))

# %%
(folder / "mine.yaml").write_text(yaml.safe_dump({"simulation": demo["simulation"], **mine}))
config = sb.load_config(folder / "mine.yaml", [f"simulation.n_sequences={N_SEQUENCES}"])
run = folder / "run"
report = pipeline.run(config, run)
metrics = pd.read_json(run / "models" / "mine" / "metrics.json").T
ceilings = pd.read_csv(run / "oracle" / "ceilings.csv", index_col="task")[["auroc", "auprc"]].add_prefix("oracle_")
metrics.join(ceilings)[["auroc", "oracle_auroc", "auprc", "oracle_auprc"]].round(3)

# %% [markdown]
# `oracle_auroc` is the ceiling: what a reader reaches who knows the grammar the sequences were drawn from. The scanner
# gets near it, because the labels of this preset hang on which motifs there are and not on where they stand.
#
# ## 4. The ranking

# %%
summary = pd.read_csv(run / "scores" / "summary.csv")
assert "occlusion@none" in set(summary.key)
figure, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
_ = plot.method_ranking(summary, ax=ax)

# %% [markdown]
# Is a lead luck? All methods explain the same sequences, so take differences sequence by sequence; their error is
# smaller than that of either mean. A lead of less than two errors may well be luck.

# %%
auprc = pd.read_parquet(run / "scores" / "per_sequence.parquet").pivot_table("auprc", "seq_id", "key")
behind = auprc.rsub(auprc["occlusion@none"], axis=0).drop(columns="occlusion@none")
pd.DataFrame({"occlusion leads by": behind.mean(), "standard error": behind.sem()}).round(3)

# %% [markdown]
# ## 5. By hand
#
# The same without a run: `sb.attribute` for the scores, `sb.score_attributions` to hold them against the truth. So a
# setting can be tried out in seconds. Here: how wide should the window be? (What is chosen so has to be judged on other
# sequences.)

# %%
dataset = sb.open_dataset(run / "dataset")
trained = keras.saving.load_model(run / "models" / "mine" / "model.keras", compile=False)
target = dataset.tasks.index("HepG2")
explained = pd.read_parquet(run / "scores" / "per_sequence.parquet").query("key == 'occlusion@none'")
rows = pd.Index(dataset.seq_ids("test")).get_indexer(explained.seq_id)
sequences = sb.one_hot(dataset.bases("test")[rows])
truth = dataset.mask("test", task="HepG2")[rows]

by_width = {
    width: sb.attribute(trained, sequences, method="occlusion", target=target, width=width)
    for width in (1, 5, 9, 15, 25)
}
scores = {width: sb.score_attributions(attribution.scores, truth) for width, attribution in by_width.items()}
np.testing.assert_allclose(scores[9].auprc, explained.auprc, atol=1e-3)  # what the run found
pd.DataFrame({width: table.mean() for width, table in scores.items()}).T[["auprc", "auroc", "chance_auprc"]].round(3)

# %% [markdown]
# ## 6. Look
#
# One sequence with the true sites marked, neither the best nor the worst: that of the median auPRC. Our method, and the
# one that comparisons usually start from.

# %%
number = int(scores[9].auprc.argsort().iloc[len(rows) // 2])
sites = dataset.sites[dataset.sites.seq_id == explained.seq_id.iloc[number]]
counted = {element for element, tasks in dataset.notes["elements"].items() if "HepG2" in tasks}
mutagenesis = sb.attribute(trained, sequences[[number]], method="ism", target=target)
plot.attribution_panels(
    sequences[number],
    {"occlusion, 9 bases": by_width[9].contributions[number], "in-silico mutagenesis": mutagenesis.contributions[0]},
    sites.assign(counted=sites.element.isin(counted)),
)

# %% [markdown]
# The true sites of HepG2's motifs are shaded. Occlusion knows a place to within its window; in-silico mutagenesis knows
# it to the base, but sees only what a single letter can break. Grey hills are no sites: there the network takes chance
# letters for a motif. A method that shows them tells the truth about the network and loses points all the same, so a
# score is always one of model and method together.
#
# ## 7. For the command line, and for others
#
# `@register_method` holds for this Python process. Put the function into a package of yours and name its module in the
# package's `setup.cfg`; then `simbench methods` lists it and any configuration may ask for it:
#
# ```ini
# [options.entry_points]
# simbench_tf.attribution_methods =
#     occlusion = my_package.occlusion
# ```
#
# ```sh
# simbench run mine.yaml --out runs/mine
# ```
