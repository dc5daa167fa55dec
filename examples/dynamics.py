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
# # Learning dynamics: which motif is learnt first?
#
# A network does not learn its motifs all at once. Its weights are kept at some batches of training, and with each of
# them every motif is looked for: is it found by attribution, and does the output fall when it is taken out? Under a
# minute.

# %%
import os
import tempfile
from pathlib import Path

import pandas as pd

import simbench_tf as sb
from simbench_tf import pipeline

N_SEQUENCES = int(os.environ.get("N_SEQUENCES", "3000"))
MAX_BATCHES = int(os.environ.get("MAX_BATCHES", "400"))
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## 1. A run that keeps its weights
#
# One task, three motifs that mark it, each rarer than the one before, and CTCF, which tells nothing of the label. The
# network is as small as can be: one convolution, the best match of each filter, a weighted sum. `dynamics` in the
# configuration is all that it takes.

# %%
(folder / "small.py").write_text("""
import keras

def build(seq_length, n_tasks):
    return keras.Sequential([
        keras.Input((seq_length, 4)),
        keras.layers.Conv1D(24, 15, padding="same", activation="relu"),
        keras.layers.GlobalMaxPooling1D(),
        keras.layers.Dense(n_tasks, activation="sigmoid"),
    ])
""")
(folder / "dynamics.yaml").write_text(f"""
name: dynamics
seed: 1
simulation:
  kind: grammar
  seq_length: 100
  n_sequences: {N_SEQUENCES}
  tasks: {{HepG2: {{fraction: .5}}}}
  elements:
    - {{motif: HNF4A, rate: .05, enriched: {{HepG2: 1.2}}}}
    - {{motif: NRF1, rate: .05, enriched: {{HepG2: .5}}}}
    - {{motif: GATA1, rate: .05, enriched: {{HepG2: .2}}}}
    - {{motif: CTCF, rate: .3}}
models: [{{name: small, python: "small.py:build"}}]
training: {{batch_size: 50, max_batches: {MAX_BATCHES}, learning_rate: .01, patience: 20, precision: float32}}
dynamics: {{checkpoints: 10, n_sequences: 100}}
attribution: {{n_sequences: 20, methods: [grad_x_input]}}
scoring: {{nulls: false}}
""")
config, run = sb.load_config(folder / "dynamics.yaml"), folder / "run"
pipeline.run(config, run)
pd.read_csv(run / "models" / "small" / "history.csv")[["batch", "loss", "valid_loss"]].tail(3).round(3)

# %% [markdown]
# ## 2. Recall, batch by batch
#
# `recall` is the average precision of a motif's bases against bases in no site: how well attribution finds it. A cell
# is one motif at one batch, the mark is when it counts as learnt, and the loss is drawn above.

# %%
dynamics = pd.read_csv(run / "dynamics" / "small" / "dynamics.csv")
learnt = pd.read_csv(run / "dynamics" / "small" / "learnt.csv")
names = sb.open_dataset(run / "dataset").motifs.set_index("motif")["tf"].to_dict()
sb.plot.motif_dynamics(dynamics, learnt, names)

# %% [markdown]
# ## 3. When it is learnt, and why then
#
# A motif is learnt when its recall has come half of the way to what the exact posterior reaches, *and* taking it out
# costs the output half of what it costs the posterior. Otherwise `status` says why not.

# %%
table = learnt.assign(motif=learnt["motif"].map(names)).set_index("motif")
table[["learnt_at", "status", "information", "rate", "rate_without", "surplus"]].round(2)

# %%
sb.plot.learnt_against(learnt, quantity="information", names=names)

# %% [markdown]
# NRF1 comes before HNF4A, which is more than twice as frequent: it holds more information, so that a match of it is
# less often chance. GATA1 is both short and rare, and not learnt by the end. CTCF has the most information of all and
# nothing to teach: it is as frequent without the label as with it. Four motifs and one training show how to look, and
# prove no law: `simbench run what_is_learnt_first` has nine motifs, four trainings, and the correlations with their
# errors (`docs/dynamics.md`).

# %%
if MAX_BATCHES >= 400:
    assert table.loc["NRF1", "learnt_at"] < table.loc["HNF4A", "learnt_at"]
assert table.loc["CTCF", "status"] == "not learnt"
