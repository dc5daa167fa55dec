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
# # Quick start: which attribution method finds the motifs?
#
# On real DNA nobody knows which bases matter. So we draw sequences in which we *do* know: we placed the motifs
# ourselves. A network learns to tell the sequences apart, attribution methods say which bases it looked at, and we
# score them against the truth. Two minutes on two cores.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import simbench_tf as sb
from simbench_tf import pipeline, plot

N_SEQUENCES = int(os.environ.get("N_SEQUENCES", "12000"))
MAX_BATCHES = int(os.environ.get("MAX_BATCHES", "300"))
run = Path(tempfile.mkdtemp()) / "quickstart"

# %% [markdown]
# ## 1. Simulate
#
# The `demo` preset has two tasks. HepG2's positives carry more of four liver motifs, K562's more of four blood motifs;
# CTCF and SP1 stand in any sequence. Every setting can be changed, here the number of sequences.

# %%
config = sb.load_config("demo", [f"simulation.n_sequences={N_SEQUENCES}", f"training.max_batches={MAX_BATCHES}"])
pipeline.begin(config, run)
pipeline.simulate(config, run)
dataset = sb.open_dataset(run / "dataset")
dataset.sequences.head(3)

# %% [markdown]
# Where the motifs truly stand is part of the data set:

# %%
dataset.sites.head()

# %%
labels = dataset.sequences.set_index("seq_id")[dataset.tasks]
sites_of = dataset.sites.groupby(["seq_id", "tf"]).size().unstack(fill_value=0).reindex(labels.index, fill_value=0)
pd.DataFrame({task: sites_of[labels[task] == 1].mean() for task in dataset.tasks}).round(2)

# %% [markdown]
# The table shows the mean number of sites a sequence, among the positives of each task: the enrichment a network has to
# find out.
#
# ## 2. Train a small Basset

# %%
model = sb.basset(seq_length=dataset.seq_length, n_tasks=len(dataset.tasks), width=0.25)
trained = sb.train(model, dataset, config.training, seed=config.seed)
pd.DataFrame(trained.metrics).T.round(3)

# %% [markdown]
# ## 3. Attribute
#
# Twenty positives of HepG2 that the network has not seen, explained by three methods.

# %%
task = "HepG2"
target = dataset.tasks.index(task)
positives = dataset.labels("test")[:, target] == 1
one_hot = sb.one_hot(dataset.bases("test")[positives][:20])
truth = dataset.mask("test", task=task)[positives][:20]

attributions = {
    "gradient x input": sb.attribute(model, one_hot, method="grad_x_input", target=target),
    "integrated gradients": sb.attribute(
        model, one_hot, method="integrated_gradients", target=target, references="shuffle:10", n_steps=20
    ),
    "in-silico mutagenesis": sb.attribute(model, one_hot, method="ism", target=target),
}

# %% [markdown]
# ## 4. Score
#
# Each base's |attribution| is ranked against the truth: auPRC is the average precision of that ranking, and a random
# one would reach `chance_auprc`, the share of bases in motifs. `auprc_se` is the standard error of the mean over these
# twenty sequences. The ceiling is what the exact posterior of the generator reaches, which knows all but the draw.

# %%
per_sequence = {name: sb.score_attributions(a.scores, truth) for name, a in attributions.items()}
pipeline.oracle(config, run)
ceilings = pd.read_csv(run / "oracle" / "ceilings.csv").set_index("task")
table = pd.DataFrame(
    {
        name: {
            **scores[["auroc", "auprc", "mass_fraction", "chance_auprc"]].mean(),
            "auprc_se": scores["auprc"].sem(),
            "oracle_auprc": ceilings.loc[task, "attribution_auprc"],
        }
        for name, scores in per_sequence.items()
    }
).T.rename_axis("key")
table.sort_values("auprc", ascending=False).round(3)

# %%
sb.plot.method_ranking(table.reset_index())

# %% [markdown]
# Do the errors part two methods? They were scored on the *same* sequences, so their difference is known better than
# either mean: that is what the paired test takes.

# %%
sb.paired_comparisons(pd.DataFrame({name: scores["auprc"] for name, scores in per_sequence.items()}))[
    ["first", "second", "difference", "low", "high", "p_holm"]
].round(3)

# %% [markdown]
# ## 5. Look
#
# One sequence, with the true sites marked.

# %%
shown = dataset.seq_ids("test")[positives][0]
sites = dataset.sites[dataset.sites.seq_id == shown]
figure, axes = plt.subplots(len(attributions), 1, figsize=(12, 6), sharex=True, layout="constrained")
for ax, (name, a) in zip(axes, attributions.items(), strict=True):
    plot.logo(a.contributions[0], sites=sites, ax=ax)
    ax.set_title(name, loc="left")

# %% [markdown]
# The same in one command, with a report to read and to show: `simbench run demo --out runs/demo`.
