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
# # Rules: is it the place, or the reason?
#
# Methods are scored by *where* they put credit. But a label may ask for two motifs together, or for one without
# another. Then credit should follow the rule: a motif counts because of what stands beside it. Here are two such rules,
# a model that has them by construction and a network that cannot have them. Under a minute.

# %%
import os
import tempfile
from pathlib import Path

import pandas as pd

import simbench_tf as sb
from simbench_tf import pipeline
from simbench_tf.report.text import method_labels

N_SEQUENCES = int(os.environ.get("N_SEQUENCES", "2000"))
MAX_BATCHES = int(os.environ.get("MAX_BATCHES", "400"))
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## 1. Two rules
#
# `joint` is positive where HNF4A **and** CEBPB stand, `alone` where GATA1 stands **without** SPI1. Either motif alone
# is in many negatives. Two models: `planted` is a convolutional network made from the rules themselves, with nothing
# trained. `additive` is trained, and has no hidden layer above its motifs: its logit is a sum, so to it no motif can
# depend on another.

# %%
(folder / "additive.py").write_text("""
import keras

def build(seq_length, n_tasks):
    return keras.Sequential([
        keras.Input((seq_length, 4)),
        keras.layers.Conv1D(24, 15, padding="same", activation="relu"),
        keras.layers.GlobalMaxPooling1D(),
        keras.layers.Dense(n_tasks, activation="sigmoid"),
    ])
""")
(folder / "rules.yaml").write_text(f"""
name: rules
seed: 1
simulation:
  kind: grammar
  seq_length: 100
  n_sequences: {N_SEQUENCES}
  tasks: {{joint: {{fraction: .5}}, alone: {{fraction: .5}}}}
  elements:
    - {{motif: HNF4A, rate: .7}}
    - {{motif: CEBPB, rate: .7}}
    - {{motif: GATA1, rate: .7}}
    - {{motif: SPI1, rate: .7}}
  rules:
    - {{task: joint, when: HNF4A and CEBPB, with_label: .95, without_label: .05}}
    - {{task: alone, when: GATA1 without SPI1, with_label: .95, without_label: .05}}
models:
  - {{name: planted, architecture: planted}}
  - {{name: additive, python: "additive.py:build"}}
training: {{batch_size: 50, max_batches: {MAX_BATCHES}, learning_rate: .01, precision: float32}}
attribution:
  n_sequences: 30
  methods: [ism, grad_x_input, {{method: deeplift_rescale, references: "shuffle:5"}}]
scoring: {{nulls: false}}
""")
config, run = sb.load_config(folder / "rules.yaml"), folder / "run"
pipeline.run(config, run)
summary = pd.read_csv(run / "scores" / "summary.csv")
labels = method_labels(summary)
summary.pivot_table("auprc", "key", ["task", "model"], sort=False).rename(labels).round(2)

# %%
sb.plot.method_ranking(summary, labels=labels, model="planted", task="joint")

# %% [markdown]
# By place alone `additive` is behind, but it has found the motifs: chance is the first tick of the figure. The next two
# tables ask for reasons.
#
# ## 2. Does the *model* have the rule?
#
# In sequences that hold both, each motif is taken out, then both (`simbench` puts background of the same grammar in its
# place), and the model asked again. The interaction is f(both) - f(first) - f(second) + f(neither): how much more, or
# less, the two do together than each by itself. `oracle` is that of the exact posterior, which is the rule.

# %%
faithful = pd.read_csv(run / "scores" / "faithfulness.csv")
of_models = faithful.groupby(["task", "model"], sort=False)[["interaction", "oracle_interaction"]].first()
of_models.round(2)

# %% [markdown]
# `planted` has both, with the right sign: the AND is above 0, and what silences is below. Of `additive` the interaction
# is nearly nil: it *cannot* have the rule. (Not quite: a filter that fits both motifs a little takes the better one.)
# No attribution method could show what is not there.

# %%
interaction = of_models["interaction"].unstack("model")
assert (interaction["additive"].abs() < 0.15 * interaction["planted"].abs()).all()
assert interaction.loc["joint", "planted"] > 0 > interaction.loc["alone", "planted"]

# %% [markdown]
# ## 3. Does the *method* show it?
#
# If credit follows the rule, HNF4A gets more beside CEBPB than alone, GATA1 less beside SPI1 than alone, and each that
# raises the label more than nothing. `satisfied` is the share of such comparisons that come out right; random numbers
# reach a half.

# %%
satisfied = pd.read_csv(run / "scores" / "satisfiability.csv")
shown = satisfied.pivot_table("satisfied", "key", ["task", "model"], sort=False).rename(labels)
shown.round(2)

# %% [markdown]
# Some comparisons need no rule: whoever sees HNF4A at all gives it more than nothing. So `additive` passes a half, too,
# by every method. What the rule adds is what `planted` has above it.
#
# ## 4. What to take home
#
# - A high auPRC says that motifs are found, not that the rule between them is.
# - Ask the model first (`faithfulness.csv`), then the method (`satisfiability.csv`). A method is to blame only for what
#   the model has.
# - A network trained on your own data may be nearer to `additive` than you think: `simbench run rules` has a Basset
#   that learns a tenth of two of its rules.
