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
# # Saturation: who sees what?
#
# Three functions, small enough to know the right answer, are enough to tell attribution methods apart: $2x^2$,
# $\min(x_1 + x_2, 1)$ and $\min(x_1, x_2)$. The last two are the examples of the DeepLIFT paper (Shrikumar, Greenside
# and Kundaje 2017). They stand for what happens in regulatory DNA: a second copy of a motif that adds nothing, and two
# factors that need each other. Then DeepLIFT's rules are worked out by hand, and come out as the package has them. Half
# a minute on two cores.

# %%
import os

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

import simbench_tf as sb

tf.get_logger().setLevel("ERROR")  # each of the many small models is compiled, which TensorFlow would warn of

N_STEPS = int(os.environ.get("N_STEPS", "80"))  # of integrated gradients; an even number meets the kinks
MAX_COPIES = int(os.environ.get("MAX_COPIES", "8"))

METHODS = {
    "gradient x input": {"method": "grad_x_input"},
    "integrated gradients": {"method": "integrated_gradients", "references": "zeros", "n_steps": N_STEPS},
    "DeepLIFT Rescale": {"method": "deeplift_rescale", "references": "zeros"},
    "DeepLIFT RevealCancel": {"method": "deeplift_revealcancel", "references": "zeros"},
    "in-silico mutagenesis": {"method": "ism"},
}
COLOURS = dict(zip(METHODS, ["#c77d17", "#3b7dd8", "#12928a", "#8a6fc4", "#b0413e"], strict=True))

# %% [markdown]
# ## 1. The functions as networks
#
# A network of the package takes one-hot DNA. So position $l$ says $x_l$: an A there is the number we want, anything
# else is 0. One layer of ReLUs does the rest: $y = \mathbf{v} \cdot \mathrm{relu}(\mathbf{x} \mathbf{W} + \mathbf{b}) +
# c$.


# %%
def network(x, W, b, v, c=0.0):
    """y = v . relu(x W + b) + c of a sequence, where position l gives x[l] if it holds an A and 0 if not."""
    x, W, b, v = (np.array(each, float) for each in (x, W, b, v))
    model = keras.Sequential(
        [
            keras.Input((len(x), 4)),
            keras.layers.Flatten(),
            keras.layers.Dense(len(x), use_bias=False, name="x"),
            keras.layers.Dense(len(b), "relu", name="hidden"),
            keras.layers.Dense(1, name="y"),
        ]
    )
    reads = np.zeros((len(x), 4, len(x)))
    reads[range(len(x)), 0, range(len(x))] = x
    model.set_weights([reads.reshape(-1, len(x)), W, b, v[:, None], np.array([c])])
    return model


# %% [markdown]
# - $\min(x_1 + x_2, 1) = 1 - \mathrm{relu}(1 - x_1 - x_2)$
# - $\min(x_1, x_2) = x_1 - \mathrm{relu}(x_1 - x_2)$, for positive numbers
# - $2x^2$: ReLUs make no curves, only straight pieces. With a kink at 1/8, 3/8, 5/8, ... and a slope that grows by 1 at
#   each of them, the pieces have the slope $4x$ and rise by $2x^2$ exactly, at every quarter.


# %%
def square(x):
    kinks = np.arange(0.125, 2.5, 0.25)
    return network([x], np.ones((1, len(kinks))), -kinks, np.ones(len(kinks)))


def saturated(x1, x2):
    return network([x1, x2], [[-1], [-1]], [1], [-1], 1)


def minimum(x1, x2):
    return network([x1, x2], [[1, 1], [0, -1]], [0, 0], [1, -1])


def value(model, sequence):
    return model(sb.one_hot(sequence), training=False).numpy().item()


for x in np.arange(0.25, 2.5, 0.25):
    assert np.isclose(value(square(x), "A"), 2 * x**2)
for x1, x2 in ((0.2, 0.3), (1, 1), (3, 2), (2, 5)):
    assert np.isclose(value(saturated(x1, x2), "AA"), min(x1 + x2, 1))
    assert np.isclose(value(minimum(x1, x2), "AA"), min(x1, x2))

# %% [markdown]
# ## 2. Who sees what
#
# The sequence is all A, the reference holds nothing (zeros). A method that is complete gives the inputs, together, what
# the output changed by. In-silico mutagenesis takes no reference: it puts another letter in place of one A, by which
# that input becomes 0, and says how far the output falls. It is the experiment itself, so surely it is right?

# %%
functions = {
    "2x², x = 2": square(2),
    "min(x1 + x2, 1), x = 1, 1": saturated(1, 1),
    "min(x1, x2), x = 3, 2": minimum(3, 2),
    "min(x1, x2), x = 1, 10": minimum(1, 10),
}
rows = []
for function, model in functions.items():
    length = model.input_shape[1]
    change = value(model, "A" * length) - value(model, "N" * length)
    for method, settings in METHODS.items():
        scores = sb.attribute(model, sb.one_hot("A" * length), **settings).scores[0]
        named = {f"x{number}": score for number, score in enumerate(scores, 1)}
        rows.append({"function": function, "method": method, **named, "sum": scores.sum(), "change": change})
table = pd.DataFrame(rows).set_index(["function", "method"])[["x1", "x2", "sum", "change"]]
table["complete"] = np.isclose(table["sum"], table["change"], atol=1e-4)
table.round(3).astype(object).fillna("")

# %%
figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
axes[0].set_ylabel("attribution (dark: x1, light: x2)\ndashed: change of the output")
for ax, function in zip(axes, functions, strict=True):
    part = table.loc[function]
    places = np.arange(len(METHODS))
    n_inputs = int(part[["x1", "x2"]].notna().any().sum())
    for number in range(n_inputs):
        at = places + (number - (n_inputs - 1) / 2) * 0.4
        drawn = ax.bar(at, part[f"x{number + 1}"], 0.36, color=[COLOURS[m] for m in METHODS], alpha=1 - 0.5 * number)
        labels = [f"{score:.1f}".replace("-0.0", "0.0") for score in part[f"x{number + 1}"]]
        ax.bar_label(drawn, labels, fontsize=8, padding=1)
    ax.axhline(part["change"].iloc[0], color="#6b7580", linestyle="--", linewidth=1)
    ax.set(title=function, xticks=places, ylim=(0, 1.15 * np.nanmax(part[["x1", "x2", "change"]])))
    ax.set_xticklabels(["grad x\ninput", "int.\ngrad.", "Res-\ncale", "Reveal-\nCancel", "ISM"], fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# - **A curve.** At $x = 2$ the gradient is 8, and gradient x input says 16, where the output rose by 8. It continues
#   the slope at the end all the way back. The others take the change itself.
# - **Saturation.** At 1, 1 the output is at its ceiling and the gradient is zero: gradient x input sees *nothing*,
#   though $x_1$ and $x_2$ made all of it. Mutagenesis is as blind: take away either, and the other still holds the
#   output at 1, so both get 0. This is the lesson of the first figure of the DeepLIFT paper: to ask what happens if
#   *one* thing is changed, by a step or by a mutation, is to miss what two things do alike. The methods with a
#   reference share it.
# - **A minimum.** Only the smaller input has a gradient, here and everywhere on the straight way from zero. So gradient
#   x input, integrated gradients and Rescale say that the larger one plays no part. Yet without it the output would
#   be 0. RevealCancel alone shares. Mutagenesis gives *each* of them the whole output, since either alone brings it to
#   0: together more than there was.

# %%
scores = {function: table.loc[function][["x1", "x2"]].to_numpy() for function in functions}
expected = {
    "2x², x = 2": [[16], [8], [8], [8], [8]],
    "min(x1 + x2, 1), x = 1, 1": [[0, 0], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0, 0]],
    "min(x1, x2), x = 3, 2": [[0, 2], [0, 2], [0, 2], [1, 1], [2, 2]],
    "min(x1, x2), x = 1, 10": [[1, 0], [1, 0], [1, 0], [0.5, 0.5], [1, 1]],
}
for function, known in expected.items():
    np.testing.assert_allclose(scores[function][:, : len(known[0])], known, atol=1e-4)

# %% [markdown]
# Why is that so? Gradient x input follows the *tangent* at the sequence, Rescale the *chord* from the reference, which
# is also where integrated gradients ends up on a straight way. A minimum looks like its smaller input along all of that
# way. RevealCancel goes round two corners instead: first what raises the hidden unit and then what lowers it, and the
# other way about, and takes the mean of both.

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for ax, function, at, slope, name in (
    (left, lambda x: 2 * x**2, 2, 8, "y = 2x²"),
    (middle, lambda x: np.minimum(2 * x, 1), 1, 0, "y = min(x1 + x2, 1), x1 = x2 = x"),
):
    x = np.linspace(0, 1.25 * at, 200)
    ax.plot(x, function(x), color="#6b7580", linewidth=2)
    ax.plot(x, function(at) + slope * (x - at), color=COLOURS["gradient x input"], label="tangent")
    ax.plot([0, at], [0, function(at)], color=COLOURS["DeepLIFT Rescale"], label="chord")
    ax.plot(at, function(at), "o", color="black")
    ax.annotate("sequence", (at, function(at)), xytext=(-4, 7), textcoords="offset points", ha="right")
    ax.plot(0, 0, "o", color="black", fillstyle="none")
    ax.annotate("reference", (0, 0), xytext=(7, -3), textcoords="offset points", va="top")
    ax.set(title=name, xlabel="x", ylabel="y")
    ax.legend(frameon=False, loc="upper left")
    ax.spines[["top", "right"]].set_visible(False)
left.set_ylim(-9, 13)
middle.set_ylim(-0.25, 1.5)
grid = np.stack(np.meshgrid(np.linspace(0, 3.6, 100), np.linspace(0, 2.9, 100)))
shades = right.contourf(*grid, grid.min(axis=0), levels=14, cmap="Greys", alpha=0.7)
figure.colorbar(shades, ax=right, ticks=[0, 1, 2], label="y")
right.plot([0, 3], [0, 2], color=COLOURS["integrated gradients"], label="straight")
right.plot([0, 3, 3], [0, 0, 2], color=COLOURS["DeepLIFT RevealCancel"], label="round the corners", linewidth=2)
right.legend(frameon=False, loc="upper left", ncols=2, columnspacing=1, fontsize=9)
right.plot([0, 0, 3], [0, 2, 2], color=COLOURS["DeepLIFT RevealCancel"], linewidth=2)
right.plot([0, 2.5], [0, 2.5], color="black", linestyle=":", linewidth=1)
right.annotate("x1 = x2", (1.2, 1.25), ha="right", fontsize=9)
right.plot(3, 2, "o", color="black")
_ = right.set(title="y = min(x1, x2)", xlabel="x1", ylabel="x2", xlim=(-0.1, 3.6), ylim=(-0.1, 2.9))

# %% [markdown]
# ## 3. The rules by hand
#
# One hidden unit, $y = \mathrm{relu}(h)$ with $h = \sum w x + b$, over five bases. Unlike above the reference is a real
# sequence: where the two differ, one base appears ($\Delta x = +1$) and another vanishes ($\Delta x = -1$).

# %%
sequence, reference = "GATCA", "GCATT"
w = np.array([[1, -1, 2, -2], [3, -1, 1, 2], [1, 2, -3, -1], [2, -2, -1, 1], [3, -1, 2, 1]], float)  # A, C, G, T
b = -2.0
model = keras.Sequential(
    [keras.Input((5, 4)), keras.layers.Flatten(), keras.layers.Dense(1, "relu"), keras.layers.Dense(1)]
)
model.set_weights([w.reshape(20, 1), np.array([b]), np.ones((1, 1)), np.zeros(1)])


def relu(h):
    return np.maximum(h, 0)


x, x0 = sb.one_hot(sequence)[0], sb.one_hot(reference)[0]
dx = x - x0
h0 = (w * x0).sum() + b
print(f"h goes from {h0:g} to {(w * x).sum() + b:g}, y from {relu(h0):g} to {relu((w * x).sum() + b):g}")

# %% [markdown]
# **The linear rule** splits the change of $h$ by the sign of each term, and leaves out the bias, which is the same in
# both:
#
# $$\Delta h^+ = \sum 1_{\{w \Delta x > 0\}}\, w \Delta x, \qquad
# \Delta h^- = \sum 1_{\{w \Delta x < 0\}}\, w \Delta x$$
#
# (The talk's slide carries the bias along, and writes $w \Delta x < 0$ in the multipliers of both.) Mind the two kinds
# of positive: $\Delta x^+$ is a base that appears, $\Delta h^+$ is what raises $h$. A base that appears may lower it.

# %%
raises, lowers = w * dx > 0, w * dx < 0
dh_plus, dh_minus = (w * dx)[raises].sum(), (w * dx)[lowers].sum()
assert np.isclose(dh_plus + dh_minus, (w * dx).sum())
print(f"what raises h: {dh_plus:+g}, what lowers it: {dh_minus:+g}")

# %% [markdown]
# **Rescale** gives both the same multiplier, $m = \Delta y / \Delta h$. **RevealCancel** asks what each would have done
# first, and what second:
#
# $$\Delta y^+ = \tfrac12 [f(h_0 + \Delta h^+) - f(h_0)]
# + \tfrac12 [f(h_0 + \Delta h^- + \Delta h^+) - f(h_0 + \Delta h^-)]$$
# $$\Delta y^- = \tfrac12 [f(h_0 + \Delta h^-) - f(h_0)]
# + \tfrac12 [f(h_0 + \Delta h^+ + \Delta h^-) - f(h_0 + \Delta h^+)]$$
#
# and $m^+ = \Delta y^+ / \Delta h^+$, $m^- = \Delta y^- / \Delta h^-$. (On the slide the first term of the last bracket
# lacks its $\Delta h^+$. Then the two do not add up to $\Delta y$.)

# %%
dy = relu(h0 + dh_plus + dh_minus) - relu(h0)
dy_plus = (relu(h0 + dh_plus) - relu(h0) + relu(h0 + dh_minus + dh_plus) - relu(h0 + dh_minus)) / 2
dy_minus = (relu(h0 + dh_minus) - relu(h0) + relu(h0 + dh_plus + dh_minus) - relu(h0 + dh_plus)) / 2
on_slide = (relu(h0 + dh_minus) - relu(h0) + relu(h0 + dh_minus) - relu(h0 + dh_plus)) / 2
assert np.isclose(dy_plus + dy_minus, dy)
assert not np.isclose(dy_plus + on_slide, dy)
multipliers = {
    "deeplift_rescale": (dy / (dh_plus + dh_minus), dy / (dh_plus + dh_minus)),
    "deeplift_revealcancel": (dy_plus / dh_plus, dy_minus / dh_minus),
}
pd.DataFrame(multipliers, index=["m+", "m-"]).T.round(3)

# %% [markdown]
# The unit is open before and after, so Rescale passes all on. RevealCancel also asks what each part does alone: what
# lowers $h$ by 6 could take $y$ from 2 to 0 only, and would have left less for the other to raise.
#
# **The chain rule** then takes the multipliers back to the bases: each gets $w$ times $m^+$ if it raised $h$ and times
# $m^-$ if it lowered it. What bases that appear contribute is `positive`, what those that vanish contribute is
# `negative`, and both together are the score.

# %%
tables = {}
for rule, (m_plus, m_minus) in multipliers.items():
    contributions = w * np.where(raises, m_plus, m_minus) * dx
    positive = np.where(dx > 0, contributions, 0).sum(axis=1)
    negative = np.where(dx < 0, contributions, 0).sum(axis=1)
    a = sb.attribute(model, x[None], method=rule, references=x0[None])
    np.testing.assert_allclose(a.positive[0], positive, atol=1e-5)
    np.testing.assert_allclose(a.negative[0], negative, atol=1e-5)
    np.testing.assert_allclose(a.scores[0], positive + negative, atol=1e-5)
    assert abs(a.scores.sum() - dy) < 1e-5
    by = {"by hand": (positive, negative), "package": (a.positive[0], a.negative[0])}
    tables[rule] = pd.DataFrame(
        {
            (part, who): values[number]
            for number, part in enumerate(("positive", "negative"))
            for who, values in by.items()
        }
    )
terms = pd.DataFrame(
    {
        ("w Δx of what", "appears"): np.where(dx > 0, w * dx, 0).sum(axis=1),
        ("w Δx of what", "vanishes"): np.where(dx < 0, w * dx, 0).sum(axis=1),
    }
)
whole = pd.concat({"": terms, **tables}, axis=1) + 0.0
whole.index = [f"{before} → {after}" for before, after in zip(reference, sequence, strict=True)]
whole.round(2)

# %% [markdown]
# The same for the minimum of section 2, whose second unit is $h = x_1 - x_2$ with $x = 3, 2$: what raises it is 3, what
# lowers it -2, and

# %%
dy_plus = (relu(3) - relu(0) + relu(3 - 2) - relu(-2)) / 2
dy_minus = (relu(-2) - relu(0) + relu(3 - 2) - relu(3)) / 2
by_hand = [3 - dy_plus, -dy_minus]  # y = x1 - relu(h)
a = sb.attribute(minimum(3, 2), sb.one_hot("AA"), method="deeplift_revealcancel", references="zeros")
np.testing.assert_allclose(a.positive[0], by_hand, atol=1e-5)
np.testing.assert_allclose(a.negative[0], [0, 0], atol=1e-5)
print(f"relu(h): {dy_plus:+g} and {dy_minus:+g}, so x1 gets {by_hand[0]:g} and x2 gets {by_hand[1]:g}")

# %% [markdown]
# ## 4. A region with many motifs
#
# What the toys show happens wherever a network is sure. Let every A be a copy of a motif, and the probability that a
# region is open be $\sigma(2 \cdot \mathrm{copies} - 4)$. How much do the copies get, together?

# %%
copies = np.arange(MAX_COPIES + 1)
model = keras.Sequential([keras.Input((MAX_COPIES, 4)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")])
per_base = np.zeros((MAX_COPIES, 4))
per_base[:, 0] = 2
model.set_weights([per_base.reshape(-1, 1), np.array([-4.0])])
sequences = sb.one_hot(["A" * n + "C" * (MAX_COPIES - n) for n in copies])

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
totals = {}
# lines that lie on one another, the later ones thinner
LINES = dict(
    zip(
        METHODS,
        [{"ls": ":", "lw": 3, "zorder": 5}, {"lw": 9, "alpha": 0.4}, {"lw": 5}, {"lw": 1.5}, {"ls": "--", "zorder": 6}],
        strict=True,
    )
)
for ax, output in zip(axes, ("probability", "logit"), strict=True):
    for method, settings in METHODS.items():
        scores = sb.attribute(model, sequences, output=output, **settings).scores
        total = (scores * sequences[:, :, 0]).sum(axis=1)  # of the copies, which are A
        totals[output, method] = total
        ax.plot(copies, total, color=COLOURS[method], label=method, **LINES[method])
    ax.set(title=f"explained: the {output}", xlabel="copies of the motif", ylabel="attribution of all copies")
    ax.spines[["top", "right"]].set_visible(False)
axes[1].legend(frameon=False)

probability = 1 / (1 + np.exp(-(2.0 * copies - 4)))
slope = probability * (1 - probability)
np.testing.assert_allclose(totals["probability", "gradient x input"], 2 * copies * slope, atol=1e-4)
for method in ("DeepLIFT Rescale", "DeepLIFT RevealCancel"):
    np.testing.assert_allclose(totals["probability", method], probability - probability[0], atol=1e-4)
one_by_one = copies[1:] * np.diff(probability)  # each copy alone taken away
np.testing.assert_allclose(totals["probability", "in-silico mutagenesis"][1:], one_by_one, atol=1e-4)
for method in METHODS:
    np.testing.assert_allclose(totals["logit", method], 2 * copies, rtol=1e-4)

# %% [markdown]
# Of the probability, gradient x input gives most to regions the network is *unsure* of, and next to nothing to those
# with the most motifs; so does in-silico mutagenesis, for of many copies none is missed. The other methods follow the
# probability itself (their lines lie on one another). Of the logit, the sum before the sigmoid, all agree. That is why
# `attribute` explains the logit unless told `output="probability"`. It mends the last layer only: a ReLU further down
# saturates all the same, as in section 2.
