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
# # Your own peaks: from a genome and a narrowPeak file to a report
#
# Here the sequences are real. Peaks are cut from a genome, their letters are shuffled, and the motif hits that stood in
# them are put back where they stood. What is left looks like the genome and holds motifs whose places we know.
#
# We take 2.3 Mb of human chromosome 2 with 260 regulatory regions: enough to see each step, and, as you will see, far
# too little to train a network. A minute on two cores.

# %%
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import simbench_tf as sb
from simbench_tf import pipeline, plot
from simbench_tf.genome import fetch, open_genome
from simbench_tf.score import without_nulls
from simbench_tf.simulate.fit import write_fitted

MAX_BATCHES = int(os.environ.get("MAX_BATCHES", "200"))
N_EXPLAINED = int(os.environ.get("N_EXPLAINED", "40"))
FIT_SEQUENCES = int(os.environ.get("FIT_SEQUENCES", "20000"))
N_DRAWN = int(os.environ.get("N_DRAWN", "4000"))
folder = Path(tempfile.mkdtemp())
examples = Path(__file__).parent if "__file__" in globals() else Path()

# %% [markdown]
# ## 1. What goes in
#
# One file says it all: a genome, peaks (one file a task), and a background of regions that are no peaks. Put the paths
# of your own files in their place.

# %%
print((examples / "chr2.yaml").read_text())

# %%
settings = [f"training.max_batches={MAX_BATCHES}", f"attribution.n_sequences={N_EXPLAINED}"]
config = sb.load_config(examples / "chr2.yaml", settings)
# a window without a peak every 1,000 bases: about one region in nine is then a peak
background = folder / "background.bed"
command = [sys.executable, str(examples / "make_chr2_background.py"), "--region-size", "1000", "--out", str(background)]
subprocess.run(command, check=True, capture_output=True)
config = sb.load_config(examples / "chr2.yaml", [*settings, f"simulation.background={background}"])

# %% [markdown]
# `simbench run` makes data set, model, attributions, scores and report in one go. Here we go stage by stage.

# %%
run = folder / "chr2"
pipeline.begin(config, run)
pipeline.simulate(config, run)
dataset = sb.open_dataset(run / "dataset")
pd.DataFrame(dataset.notes["lost"]).set_index("step")

# %% [markdown]
# No region goes lost in silence: here ten of the background hold an N, and in five peaks no motif was found.
#
# ## 2. Which motifs count
#
# Every motif of the library is sought in peaks and background. One is kept if it has enough hits in the peaks and is
# denser there than in the background (hits near the middle weigh more). The log gives each motif's reason.

# %%
log = pd.read_csv(run / "dataset" / "motif_log.csv")
enough = (log.pos_hits >= config.simulation.min_pos_hits) & (log.ratio >= config.simulation.min_enrichment)
assert (log.kept == enough).all()
log.sort_values("ratio", ascending=False).iloc[[0, 1, 2, 30, 60, 90, -1]][
    ["tf", "pos_hits", "neg_hits", "ratio", "kept", "reason"]
].round(2)

# %%
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for kept, colour in ((True, plot.BASE_COLOURS["A"]), (False, "#8f99a4")):
    some = log[(log.kept == kept) & (log.pos_hits > 0)]
    ax.scatter(some.pos_hits, some.ratio, s=18, color=colour, label=f"{len(some)} {'kept' if kept else 'dropped'}")
for motif in log[log.tf.isin(["FOSL1", "CTCF", "ZBTB7A", "SP1", "EGR1", "E2F1", "GATA1"])].itertuples():
    ax.annotate(motif.tf, (motif.pos_hits, motif.ratio), xytext=(5, 3), textcoords="offset points", fontsize=9)
ax.axvline(config.simulation.min_pos_hits, color="#c77d17", linewidth=1)
ax.axhline(config.simulation.min_enrichment, color="#c77d17", linewidth=1)
ax.set(xscale="log", yscale="log", xlabel="hits in peaks", ylabel="density in peaks / in background")
ax.set_xticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
ax.set_yticks([0.3, 1, 3], ["0.3", "1", "3"])
ax.minorticks_off()
ax.spines[["top", "right"]].set_visible(False)
_ = ax.legend(frameon=False, loc="lower right")
# %% [markdown]
# The lines are the two thresholds. With 260 peaks a motif of 20 hits is known to about a fifth of itself, so the choice
# near the lines is partly chance. With tens of thousands of peaks ask for 100 hits.
#
# ## 3. A peak before and after
#
# Above the genome's own letters, below what the network will see. The shuffle keeps how often each letter follows each
# other one, and nothing else; the marked sites are then put back as they were. Here is a peak with a CTCF site.

# %%
regions = dataset.sequences[["chrom", "start", "end"]]
real = fetch(open_genome(config.simulation.genome, run), regions)
simulated = np.concatenate([sb.one_hot(text) for text in dataset.sequences.sequence])
same = (sb.one_hot(real) == simulated).all(axis=2)
in_site = np.zeros_like(same)
row_of = pd.Series(range(len(regions)), dataset.sequences.seq_id)
for site in dataset.sites.itertuples():
    in_site[row_of[site.seq_id], site.start : site.end] = True
positive = dataset.sequences[dataset.tasks[0]].to_numpy() == 1
assert same[in_site].all()
assert same[positive][~in_site[positive]].mean() < 0.4  # by chance alone a quarter and a little more

# peaks whose sites stand near each other, none over another
sizes = dataset.sites.assign(bases=dataset.sites.end - dataset.sites.start).groupby("seq_id")
peaks = sizes.agg(first=("start", "min"), last=("end", "max"), bases=("bases", "sum"))
peaks = peaks[peaks.index.isin(dataset.sequences.seq_id[positive]) & (peaks["last"] - peaks["first"] <= 85)]
peaks = peaks[in_site[row_of[peaks.index]].sum(axis=1) == peaks.bases]
shown = peaks.index[peaks.index.isin(dataset.sites.seq_id[dataset.sites.tf == "CTCF"])][0]
sites = dataset.sites[dataset.sites.seq_id == shown]
first = max(0, min(int(sites.start.min()) - 7, dataset.seq_length - 100))
figure, axes = plt.subplots(2, 1, figsize=(12, 2.8), sharex=True, layout="constrained")
for ax, letters in zip(axes, (sb.one_hot(real), simulated), strict=True):
    plot.logo(letters[row_of[shown]], sites=sites, start=first, end=first + 100, ax=ax)
axes[0].set_title("genome", loc="left", fontsize=10)
_ = axes[1].set_title("simulated", loc="left", fontsize=10)
# %% [markdown]
# Background regions are made in the same way, with one twist: their own hits go into the shuffle of a *peak*. So GC
# content cannot give the label away.
#
# ## 4. Train

# %%
pipeline.train(config, run)
history = pd.read_csv(run / "models" / "basset" / "history.csv")
plot.learning_curve(history).figure

# %% [markdown]
# The training loss falls, the validation loss turns and climbs: the network learns its peaks by heart. No wonder: it
# has some two hundred thousand weights, and sees this many peaks:

# %%
model_metrics = pd.read_json(run / "models" / "basset" / "metrics.json")
task = dataset.tasks[0]
labels = dataset.sequences.set_index("seq_id")[[*dataset.tasks, "split"]]
labels.groupby("split")[task].agg(regions="size", peaks="sum").loc[["train", "valid", "test"]]

# %% [markdown]
# ## 5. Attribute, score, report

# %%
pipeline.attribute(config, run)
pipeline.score(config, run)
report = pipeline.report(config, run)
assert report.stat().st_size > 10_000
summary = without_nulls(pd.read_csv(run / "scores" / "summary.csv"))
summary = summary[summary.truth == summary.truth[0]]  # of both truths the one that the configuration names
assert N_EXPLAINED < 40 or (summary.auprc < summary.chance_auprc + 2 * summary.auprc_se).all()
plot.method_ranking(summary).figure

# %% [markdown]
# No method stands two standard errors above chance. Is that the methods' fault? No: a method explains what a network
# has learnt, and this one has learnt nothing. **Look at the network's auROC before you look at any ranking.** Here it
# is, with the standard error that so few test peaks allow (Hanley & McNeil 1982):


# %%
def auroc_error(auroc: float, n_positive: int, n_negative: int) -> float:
    q1, q2 = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    spread = (n_positive - 1) * (q1 - auroc**2) + (n_negative - 1) * (q2 - auroc**2)
    return float(np.sqrt((auroc * (1 - auroc) + spread) / (n_positive * n_negative)))


auroc = float(model_metrics.loc["auroc", task])
test = labels[labels.split == "test"][task]
error = auroc_error(auroc, int(test.sum()), int((test == 0).sum()))
print(f"Basset: test auROC {auroc:.2f} ± {error:.2f}")

# %% [markdown]
# ## 6. The network or the data?
#
# Give the sites away. A logistic regression on the number of sites of each motif need not find motifs, it has only to
# weigh them: some fifty numbers instead of two hundred thousand.

# %%
counts = dataset.sites.groupby(["seq_id", "tf"]).size().unstack(fill_value=0).reindex(labels.index, fill_value=0)
train, test = labels.split == "train", labels.split == "test"
weigher = LogisticRegression(C=0.01, max_iter=1000).fit(counts[train].clip(upper=3), labels[task][train])
counted = float(roc_auc_score(labels[task][test], weigher.decision_function(counts[test].clip(upper=3))))
error = auroc_error(counted, int(labels[task][test].sum()), int((labels[task][test] == 0).sum()))
print(f"counted sites: test auROC {counted:.2f} ± {error:.2f}")
assert counted > 0.5 + 2 * error

# %% [markdown]
# So there is something to learn in these peaks, and it can be learnt from this few - by someone who knows the motifs
# beforehand. (A little is flattery: the motifs were chosen by looking at all regions, those of the test among them, and
# peaks without any hit were dropped.)
#
# ## 7. The most that could be reached
#
# `simbench fit` estimates a grammar from the peaks: how often each motif stands in a region, and how much more often in
# a peak. For sequences drawn from a grammar the best possible answer can be computed exactly.

# %%
fitted = write_fitted(config, folder / "grammar.yaml", max_sequences=FIT_SEQUENCES)
print(fitted.summary)
elements = yaml.safe_load(fitted.path.read_text())["simulation"]["elements"]
rates = pd.DataFrame(
    [(e["motif"], e["rate"], e["rate"] + e.get("enriched", {}).get(task, 0)) for e in elements],
    columns=["motif", "sites in a background region", "in a peak"],
).set_index("motif")
rates.sort_values("in a peak", ascending=False).head(10).round(3)

# %%
drawn = folder / "drawn"
grammar = sb.load_config(fitted.path, [f"simulation.n_sequences={N_DRAWN}"])
pipeline.begin(grammar, drawn)
pipeline.simulate(grammar, drawn)
ceilings = pd.read_csv(pipeline.oracle(grammar, drawn), index_col="task")
ceiling = float(ceilings.loc[task, "auroc"])
assert ceiling > 0.5
quality = {"Basset": auroc, "counted sites": counted}
plot.task_quality({name: {"auroc": value, "oracle_auroc": ceiling} for name, value in quality.items()}, "auroc").figure

# %% [markdown]
# No model whatsoever does better than the violet line on sequences drawn from this grammar. For the peaks themselves it
# is drawn too high rather than too low: rates fitted to few peaks follow their accidents, and real sites come in
# clusters, which the grammar does not know.
#
# ## What 250 peaks can teach, and what not
#
# - They **can** say which known motifs are enriched, roughly, and weigh them against each other.
# - They **can** say how hard the question is: even a perfect reader errs often.
# - They **cannot** teach a network motifs from bare letters, so they cannot rank attribution methods either. The
#   ranking above is a ranking of nothing.
# - More sequences drawn from the fitted grammar add no knowledge of these peaks. But they can tell how many peaks a
#   network needs: `simbench run grammar.yaml --out runs/drawn --set simulation.n_sequences=500000`.
#
# With a whole genome there are a hundred thousand peaks. Five cell lines of ENCODE:
#
# ```sh
# simbench fetch encode-five                       # peaks and genome, once
# simbench run encode_five --out runs/five         # then as above, to a report
# ```
#
# The run of this page in one command: `simbench run examples/chr2.yaml --out runs/chr2`.
