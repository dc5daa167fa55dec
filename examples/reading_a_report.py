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
# # How to read a report
#
# A run ends in one page, `report.html`. This notebook makes a small one and goes through it: which table is behind
# which figure, what an error bar says, and what the page does not say. Under a minute.

# %%
import os
import re
import tempfile
from pathlib import Path

import pandas as pd

import simbench_tf as sb
from simbench_tf import pipeline
from simbench_tf.report.text import method_labels

N_SEQUENCES = int(os.environ.get("N_SEQUENCES", "3000"))
MAX_BATCHES = int(os.environ.get("MAX_BATCHES", "400"))
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## 1. A run
#
# Two tasks, each with a motif of its own and CTCF in all; a network of one convolution, trained from two seeds; four
# methods. From the command line this is `simbench run report.yaml --out run`.

# %%
(folder / "small.py").write_text("""
import keras

def build(seq_length, n_tasks):
    return keras.Sequential([
        keras.Input((seq_length, 4)),
        keras.layers.Conv1D(24, 15, padding="same", activation="relu"),
        keras.layers.GlobalMaxPooling1D(),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.Dense(n_tasks, activation="sigmoid"),
    ])
""")
(folder / "report.yaml").write_text(f"""
name: small
seed: 1
simulation:
  kind: grammar
  seq_length: 100
  n_sequences: {N_SEQUENCES}
  tasks: {{HepG2: {{fraction: .5}}, K562: {{fraction: .5}}}}
  elements:
    - {{motif: HNF4A, rate: .05, enriched: {{HepG2: 1.2}}}}
    - {{motif: GATA1, rate: .05, enriched: {{K562: 1.2}}}}
    - {{motif: CTCF, rate: .3}}
models: [{{name: small, python: "small.py:build", seeds: 2}}]
training: {{batch_size: 50, max_batches: {MAX_BATCHES}, learning_rate: .01, precision: float32}}
attribution:
  n_sequences: 30
  methods:
    - ism
    - grad_x_input
    - {{method: integrated_gradients, references: zeros, n_steps: 10}}
    - {{method: deeplift_rescale, references: "shuffle:5"}}
""")
config, run = sb.load_config(folder / "report.yaml"), folder / "run"
page = pipeline.run(config, run).read_text()
print(f"{len(page) / 1e6:.1f} MB, which a browser opens without a network. Its sections:")
for heading in re.findall(r"<h2[^>]*>(.*?)</h2>", page, re.DOTALL):
    print("-", " ".join(re.sub(r"<[^>]+>", "", heading).split()))

# %% [markdown]
# ## 2. First the model
#
# An attribution cannot find what the network has not learnt. So look here before any ranking: `auroc` is what the
# network reaches on sequences it has not seen, `oracle_auroc` what the exact posterior of the grammar reaches on them,
# which no model beats in expectation.

# %%
from simbench_tf.run.results import read_results

results = read_results(config, run)
rows = {(model, task): values for model, tasks in results.metrics.items() for task, values in tasks.items()}
pd.DataFrame(rows).T[["auroc", "oracle_auroc", "auprc", "oracle_auprc"]].round(3)

# %% [markdown]
# ## 3. The ranking
#
# Behind it is `scores/summary.csv`, a row for each network, task and method. The dot is the mean auPRC over sequences,
# the bar its 95% interval, the ticks are *chance* (the share of true bases) and the *ceiling* (the exact posterior's).

# %%
summary = pd.read_csv(run / "scores" / "summary.csv")
labels = method_labels(summary)
sb.plot.method_ranking(summary, labels=labels, model="small-seed1", task="HepG2")

# %% [markdown]
# Read it so: how far is the best from the ceiling, how far is the worst from chance, and do the intervals part the
# methods? Where they overlap widely, the order says nothing. Rows whose method begins with `null_` are no methods. They
# say what knowing *nothing of the trained network* reaches, and a method that does not pass them has shown nothing:

# %%
here = summary[(summary["model"] == "small-seed1") & (summary["task"] == "HepG2")]
columns = ["auprc", "auprc_low", "auprc_high", "chance_auprc", "oracle_auprc"]
nulls = here["method"].str.startswith("null_")
pd.concat({"methods": here[~nulls], "nulls": here[nulls]}).droplevel(1).set_index("key", append=True)[columns].round(2)

# %%
best_null = here.loc[nulls, "auprc"].drop(here.index[here["method"] == "null_scan"]).max()
if MAX_BATCHES >= 400:
    assert here.loc[~nulls, "auprc"].max() > best_null

# %% [markdown]
# (`null_scan` knows the true matrices, though nothing of the network: it is another ceiling.)
#
# ## 4. Which differences are real
#
# `scores/comparisons.csv` has each pair of methods on the *same* sequences, which tells more than two intervals do.
# Read `p_holm`, which is corrected for the number of pairs, and `n_needed`, the sequences it would have taken.

# %%
comparisons = pd.read_csv(run / "scores" / "comparisons.csv")
of_one = comparisons[
    (comparisons["model"] == "small-seed1") & (comparisons["task"] == "HepG2") & (comparisons["metric"] == "auprc")
]
of_one.assign(first=of_one["first"].map(labels), second=of_one["second"].map(labels))[
    ["first", "second", "difference", "low", "high", "p_holm", "n_needed"]
].round(3)

# %% [markdown]
# All that speaks of *this* network. Another training may rank them otherwise: rows whose model is a name without its
# seed compare over trainings, and `variance.csv` says how much of the spread is due to which. Two trainings are few;
# the page says so, and asks for four.

# %%
variance = pd.read_csv(run / "scores" / "variance.csv")
of_metric = variance[(variance["metric"] == "auprc") & (variance["task"] == "HepG2")]
of_metric.assign(key=of_metric["key"].map(labels)).set_index("key")[
    ["mean", "sd_models", "sd_sequences", "sd_residual"]
].round(3)

# %% [markdown]
# ## 5. Which motifs
#
# A mean hides what is missed. `motif_recall.csv` has, for each motif, the share of its sites that stand out from bases
# in no site.

# %%
recall = pd.read_csv(run / "scores" / "motif_recall.csv")
sb.plot.motif_heat_map(recall, labels, results.motif_names, model="small-seed1", task="HepG2")

# %% [markdown]
# ## 6. And the sequences themselves
#
# The page ends in a browser of every explained sequence, with the true sites marked. Look at ten before you believe a
# mean.

# %%
place = results.sequences[0]
keys = list(place.scores)
row = 0
one_hot = sb.one_hot(place.bases[row : row + 1])[0]
sb.plot.attribution_panels(
    one_hot,
    {key: place.scores[key][row][:, None] * one_hot for key in keys[:2]},
    place.sites[place.sites["row"] == row],
    labels=labels,
)

# %% [markdown]
# ## What a report does not say
#
# - That the best method here is the best on every model: it is of this data, this network, these settings.
# - That a difference without a test is one.
# - Anything of biology: the truth is where motifs were *put*.
#
# `simbench verify run` says whether the files are those that were made, `simbench skill` what each column means.
