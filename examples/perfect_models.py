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
# # Perfect models: is the method blind, or did the network never learn it?
#
# A method misses a motif on a trained network. Whose fault is it? On data that we draw ourselves the right model is
# known, so we can explain *it*: what a method misses there, no better network will mend. Two minutes on two cores.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import simbench_tf as sb
from simbench_tf import pipeline, plot
from simbench_tf.report.text import method_labels
from simbench_tf.run.results import read_results

MAX_BATCHES = int(os.environ.get("MAX_BATCHES", "1500"))
N_EXPLAINED = int(os.environ.get("N_EXPLAINED", "30"))
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## 1. A label that asks for two motifs
#
# A sequence is positive when it holds HNF4A **and** CEBPB; either may stand alone in negatives. Three models: the exact
# posterior of the label, a convolutional network built from the generator with nothing trained, and a small Basset.

# %%
(folder / "both.yaml").write_text(f"""
name: both
seed: 1
simulation:
  kind: grammar
  seq_length: 200
  n_sequences: 12000
  tasks: {{joint: {{fraction: .5}}}}
  elements: [{{motif: HNF4A, rate: .7}}, {{motif: CEBPB, rate: .7}}]
  rules: [{{task: joint, when: HNF4A and CEBPB, with_label: .95, without_label: .05}}]
models:
  - {{name: exact, architecture: oracle}}
  - {{name: planted, architecture: planted}}
  - {{name: basset, architecture: basset, padding: same, width: .25}}
training: {{recipe: drawn, schedule: linear, learning_rate: .002, batch_size: 50, max_batches: {MAX_BATCHES}}}
attribution:
  n_sequences: {N_EXPLAINED}
  methods:
    - {{method: [ism, grad_x_input, saliency]}}
    - {{method: integrated_gradients, references: zeros, n_steps: 10}}
    - {{method: integrated_gradients, references: "shuffle:3", n_steps: 5}}
    - {{method: [deeplift_rescale, deeplift_revealcancel], references: "shuffle:5"}}
scoring: {{nulls: false}}
""")
config, run = sb.load_config(folder / "both.yaml"), folder / "run"
pipeline.run(config, run)
quality = read_results(config, run).metrics
pd.DataFrame({name: tasks["joint"] for name, tasks in quality.items()}).T[["auroc", "oracle_auroc"]].round(3)

# %% [markdown]
# `oracle_auroc` is the ceiling: no model can do better on average. The exact posterior reaches it, the planted network
# nearly, and this Basset has learnt a good part of the way.
#
# ## 2. Whose miss is it?
#
# Each method is scored on each model: auPRC of |attribution| for the bases of true sites. What it misses on the exact
# posterior (or, for methods that have to read layers, on the planted network) is the method's own; what it misses
# beyond that on Basset is Basset's. Hatched: found on Basset, though missed on the perfect model.

# %%
labels = method_labels(pd.read_csv(run / "scores" / "summary.csv"))
misses = pd.read_csv(run / "scores" / "misses.csv").drop_duplicates("key")  # the exact posterior where it is taken
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
plot.split_of_misses(misses, labels, ax=ax)
_ = ax.set_title("Basset", loc="left")
# %%
columns = ["perfect", "oracle_auprc", "perfect_auprc", "auprc", "method_miss", "network_miss"]
misses.set_index(misses["key"].map(labels))[columns].round(2)

# %% [markdown]
# Mutagenesis and DeepLIFT's Rescale miss little by themselves: two thirds of their miss here is Basset's. Plain
# gradients miss more by themselves than Basset adds. RevealCancel is the other way round: it splits what comes into a
# unit by its sign and gives each part a slope of its own, and before the planted network's exponential the parts are
# huge, so that they drown what they add up to; on Basset it is the best of all.
#
# ## 3. The AND rule: not shown, or not there?
#
# Place is not all. In a sequence with both motifs each counts *because of* the other. How much of this interaction,
# f(both) - f(HNF4A) - f(CEBPB) + f(neither), does each model have, as a share of the exact posterior's?

# %%
rules = pd.read_csv(run / "scores" / "faithfulness.csv").groupby("model", sort=False)
(rules["interaction"].first() / rules["oracle_interaction"].first()).round(2)

# %% [markdown]
# And do methods show it? So that the signed credits follow the rule's truth table, HNF4A and CEBPB must each get more
# beside the other than alone. `satisfied` is the share of such comparisons that are right; .5 is chance.

# %%
satisfied = pd.read_csv(run / "scores" / "satisfiability.csv")
satisfied.pivot_table("satisfied", "key", "model", sort=False).rename(labels).round(2)

# %% [markdown]
# On the models that have the rule, all methods but RevealCancel show it. On Basset none does well, and no method is to
# blame: the network finds the motifs one by one and has not learnt that they belong together. A benchmark on trained
# networks alone would have said that attribution methods are blind to interactions.
#
# The same with more models, and with networks trained for longer: `simbench run perfect_models` and
# `simbench run perfect_models_rules`.
