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
# # Backpropagation by hand
#
# Whatever a gradient method says of a base, and whatever a network learns, comes out of backpropagation: a product of
# Jacobian matrices, one for each step of the network. Here each of them is written out in numpy, first for the smallest
# network there is. Their product is what TensorFlow's tape gives. Then the same rule goes through three layers, and
# trains them, and at last through the two steps that networks of DNA begin with. Half a minute on two cores.

# %%
import itertools
import os

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

N_STEPS = int(os.environ.get("N_STEPS", "3000"))
rng = np.random.default_rng(1)


def equal(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


# %% [markdown]
# ## 1. One layer
#
# Twelve regions ($m = 12$), and for each how well two motifs match it ($n = 2$). Some regions are open ($y = 1$). The
# network takes a weighted sum and squashes it, and the loss is the mean squared error:
#
# $$\hat{\mathbf{x}} = \mathbf{X}\mathbf{w} + b, \qquad \hat{\mathbf{y}} = \sigma(\hat{\mathbf{x}}), \qquad
# L = \frac{1}{m} \sum_{i=1}^m (y_i - \hat{y}_i)^2$$

# %%
m, n = 12, 2
X = rng.normal(size=(m, n))
y = (X @ [2.0, -1.0] + 0.5 * rng.normal(size=m) > 0).astype(float)
w, b = np.array([-1.5, 1.0]), 0.5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def mean_squared_error(y_hat):
    return ((y - y_hat) ** 2).mean()


x_hat = X @ w + b
y_hat = sigmoid(x_hat)
print(f"{y.sum():.0f} of {m} regions are open, the loss is {mean_squared_error(y_hat):.3f}")

# %% [markdown]
# ## 2. Three Jacobians
#
# A Jacobian has a row for each output and a column for each input: entry $(i, j)$ is $\partial\,\mathrm{out}_i /
# \partial\,\mathrm{in}_j$. Going back from the loss there are three.
#
# **The loss, by the predictions.** $\partial (y_i - \hat{y}_i)^2 / \partial \hat{y}_i = -2 (y_i - \hat{y}_i)$, so
#
# $$\nabla_{\hat{\mathbf{y}}} L = \frac{2}{m} (\hat{\mathbf{y}} - \mathbf{y})$$
#
# The slides of the talk this project began with have the minus in the vector and lose it at the end of the line, where
# they write $\frac{2}{m} (\mathbf{y} - \hat{\mathbf{y}})$. The sign is turned round; section 4 shows what that does.
#
# **The predictions, by the sums.** The sigmoid takes each number for itself, so only the diagonal is not zero:
# $\partial \hat{y}_i / \partial \hat{x}_i = \hat{y}_i (1 - \hat{y}_i)$.
#
# **The sums, by the weights.** $\partial \hat{x}_i / \partial w_j = X_{ij}$: the Jacobian is $\mathbf{X}$ itself. By
# $b$ it is a column of ones.

# %%
loss_by_prediction = (2 / m * (y_hat - y))[None, :]  # (1, m)
prediction_by_sum = np.diag(y_hat * (1 - y_hat))  # (m, m)
sum_by_weights = X  # (m, n)
sum_by_bias = np.ones((m, 1))


# %% [markdown]
# Is each of them right? Move one input a little, and see how far every output moves.


# %%
def measured(function, at, step=1e-6):
    """The Jacobian of a function, by moving each input up and down."""
    moved = [(function(at + step * one) - function(at - step * one)) / (2 * step) for one in np.eye(len(at))]
    return np.column_stack([np.atleast_1d(move) for move in moved])


np.testing.assert_allclose(loss_by_prediction, measured(mean_squared_error, y_hat), atol=1e-8)
np.testing.assert_allclose(prediction_by_sum, measured(sigmoid, x_hat), atol=1e-8)
np.testing.assert_allclose(sum_by_weights, measured(lambda w: X @ w + b, w), atol=1e-8)
np.testing.assert_allclose(sum_by_bias, measured(lambda b: X @ w + b, np.array([b])), atol=1e-8)

# %% [markdown]
# ## 3. Their product
#
# The chain rule multiplies them. Written as a column, as gradients are:
#
# $$\nabla_{\mathbf{w}} L = \mathbf{X}^T \, \mathrm{diag}\big(\hat{\mathbf{y}} (1 - \hat{\mathbf{y}})\big) \,
# \frac{2}{m} (\hat{\mathbf{y}} - \mathbf{y})
# = \mathbf{X}^T \Big[ \frac{2}{m} (\hat{\mathbf{y}} - \mathbf{y}) * \hat{\mathbf{y}} (1 - \hat{\mathbf{y}}) \Big]$$
#
# The second form, with $*$ number by number, is how it is computed: nobody stores the zeros of a diagonal matrix.

# %%
gradient = (loss_by_prediction @ prediction_by_sum @ sum_by_weights)[0]
gradient_b = (loss_by_prediction @ prediction_by_sum @ sum_by_bias)[0, 0]

weights, bias = (tf.Variable(each, dtype=tf.float64) for each in (w, b))
with tf.GradientTape() as tape:
    loss = tf.reduce_mean((y - tf.sigmoid(tf.linalg.matvec(X, weights) + bias)) ** 2)
tape_w, tape_b = (each.numpy() for each in tape.gradient(loss, [weights, bias]))

equal(gradient, X.T @ (2 / m * (y_hat - y) * y_hat * (1 - y_hat)))
equal(gradient, tape_w)
equal(gradient_b, tape_b)
pd.DataFrame(
    {
        "product of the Jacobians": [*gradient, gradient_b],
        "tf.GradientTape": [*tape_w, tape_b],
        "as on the slide": [*-gradient, -gradient_b],
    },
    index=["w1", "w2", "b"],
).round(6)

# %% [markdown]
# The same product as a picture: red is positive, blue negative, white zero.

# %%
factors = {
    r"$\mathbf{X}^T$": sum_by_weights.T,
    r"diag$(\hat{\mathbf{y}} * (1 - \hat{\mathbf{y}}))$": prediction_by_sum,
    r"$\frac{2}{m} (\hat{\mathbf{y}} - \mathbf{y})$": loss_by_prediction.T,
    r"$\nabla_{\mathbf{w}} L$": gradient[:, None],
}
CELL, GAP, HEIGHT = 0.25, 0.9, 4.1  # inches
width = sum(matrix.shape[1] * CELL + GAP for matrix in factors.values())
figure = plt.figure(figsize=(width, HEIGHT))
left = GAP / 2
for (name, matrix), sign in zip(factors.items(), ["", "×", "×", "="], strict=True):
    rows, columns = matrix.shape
    size = np.array([columns, rows]) * CELL
    ax = figure.add_axes((left / width, 0.5 - size[1] / 2 / HEIGHT, size[0] / width, size[1] / HEIGHT))
    most = abs(matrix).max()
    ax.pcolormesh(matrix[::-1], cmap="RdBu_r", vmin=-most, vmax=most, edgecolors="0.85", linewidth=0.6)
    ax.set(xticks=[], yticks=[], xlabel=f"{rows} × {columns}")
    ax.set_title(name, fontsize=11, pad=8)
    figure.text((left - GAP / 2) / width, 0.5, sign, ha="center", va="center", fontsize=16)
    left += size[0] + GAP

# %% [markdown]
# ## 4. Downhill, and what a turned sign does
#
# Gradient descent takes a step against the gradient, again and again. To be able to draw the loss as a map, $b$ stays
# at zero here. With the slide's sign every step goes uphill, towards predictions that are all wrong.


# %%
def descend(sign, n_steps, rate=3.0):
    """Weights before each step, (n_steps + 1, n); the sign is +1 as derived, -1 as on the slide."""
    path = [np.zeros(n)]
    for _ in range(n_steps):
        y_hat = sigmoid(X @ path[-1])
        path.append(path[-1] - rate * sign * X.T @ (2 / m * (y_hat - y) * y_hat * (1 - y_hat)))
    return np.array(path)


def loss_at(w):
    """The mean squared error of weights (..., n)."""
    return ((y - sigmoid(w @ X.T)) ** 2).mean(axis=-1)


paths = {"2/m (y_hat - y)": (descend(+1, 40), "#12928a"), "as on the slide": (descend(-1, 40), "#c77d17")}
reach = 1.15 * max(abs(path).max() for path, _ in paths.values())
grid = np.stack(np.meshgrid(*[np.linspace(-reach, reach, 120)] * 2), axis=-1)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
shades = left.contourf(grid[..., 0], grid[..., 1], loss_at(grid), levels=15, cmap="Greys", alpha=0.8)
figure.colorbar(shades, ax=left)
for name, (path, colour) in paths.items():
    left.plot(*path.T, marker="o", markersize=3, color=colour)
    right.plot(loss_at(path), color=colour, label=name)
left.plot(0, 0, marker="o", color="black")
left.annotate("start", (0, 0), xytext=(6, 4), textcoords="offset points")
left.set(xlabel="w1", ylabel="w2", aspect="equal", title="loss of the weights; each dot a step")
right.set(xlabel="step", ylabel="loss", ylim=(0, 1))
right.legend(frameon=False)
down, up = (loss_at(path) for path, _ in paths.values())
assert (np.diff(down) < 0).all()
assert (np.diff(up) > 0).all()
lengths = np.hypot(*np.diff(paths["as on the slide"][0], axis=0).T)
assert lengths[-1] < lengths.max() / 4

# %% [markdown]
# Look at the orange walk: the further up it comes, the shorter its steps. There $\hat{y} (1 - \hat{y})$ is close to
# zero, for the sigmoid is flat. A network that is very sure of itself has next to no gradient, be it right or wrong.
# The same flatness hides motifs from gradient methods: that is the notebook `saturation`.
#
# ## 5. Three layers, the same rule
#
# Two motifs, and a region is open when exactly *one* of them is there. No single layer can learn this. Take two hidden
# layers with tanh:
#
# $$\mathbf{A}_0 = \mathbf{X}, \qquad \mathbf{A}_l = f_l(\mathbf{A}_{l-1} \mathbf{W}_l + \mathbf{b}_l), \qquad
# \hat{\mathbf{y}} = \mathbf{A}_3$$
#
# Let $\boldsymbol\delta_l$ be the gradient of the loss with regard to layer $l$'s sums. The last one is what we had.
# Each layer multiplies by two Jacobians more: its weights, and the slope of the activation below it, which for tanh is
# $1 - \mathbf{A}^2$.
#
# $$\boldsymbol\delta_3 = \frac{2}{m} (\hat{\mathbf{y}} - \mathbf{y}) * \hat{\mathbf{y}} (1 - \hat{\mathbf{y}}), \qquad
# \boldsymbol\delta_l = \boldsymbol\delta_{l+1} \mathbf{W}_{l+1}^T * (1 - \mathbf{A}_l^2), \qquad
# \nabla_{\mathbf{W}_l} L = \mathbf{A}_{l-1}^T \boldsymbol\delta_l$$

# %%
motifs = rng.uniform(-1, 1, size=(200, 2))
is_open = ((motifs[:, 0] > 0) != (motifs[:, 1] > 0)).astype(float)[:, None]


def drawn_layers(*sizes):
    """Weights and bias of each layer."""
    return [
        (rng.normal(size=(before, after)) / np.sqrt(before), np.zeros(after))
        for before, after in itertools.pairwise(sizes)
    ]


def forward(x, layers):
    """What goes into each layer, and last the prediction."""
    activations = [x]
    for number, (W, b) in enumerate(layers):
        f = sigmoid if number == len(layers) - 1 else np.tanh
        activations.append(f(activations[-1] @ W + b))
    return activations


def backward(activations, y, layers):
    """Gradients of W and b of each layer, and of the input."""
    y_hat = activations[-1]
    delta = 2 / y.size * (y_hat - y) * y_hat * (1 - y_hat)
    gradients = []
    for (W, _), below in zip(layers[::-1], activations[-2::-1], strict=True):
        gradients.append((below.T @ delta, delta.sum(axis=0)))
        by_below = delta @ W.T
        delta = by_below * (1 - below**2)
    return gradients[::-1], by_below


start = drawn_layers(2, 16, 8, 1)
gradients, by_input = backward(forward(motifs, start), is_open, start)

# %% [markdown]
# TensorFlow agrees on every number. It agrees on the last step back, too: the gradient with regard to the *input*. For
# training nobody needs that one. It is what attribution methods read.

# %%
variables = [tf.Variable(each) for layer in start for each in layer]
inputs = tf.Variable(motifs)
with tf.GradientTape() as tape:
    (W1, b1), (W2, b2), (W3, b3) = zip(variables[::2], variables[1::2], strict=True)
    predicted = tf.sigmoid(tf.tanh(tf.tanh(inputs @ W1 + b1) @ W2 + b2) @ W3 + b3)
    loss = tf.reduce_mean((is_open - predicted) ** 2)
*by_variables, by_tape_input = tape.gradient(loss, [*variables, inputs])
for ours, theirs in zip([each for layer in gradients for each in layer], by_variables, strict=True):
    equal(ours, theirs)
equal(by_input, by_tape_input)
pd.DataFrame(
    {
        "numbers": [variable.shape.num_elements() for variable in variables],
        "largest |gradient|": [abs(each).max() for layer in gradients for each in layer],
        "largest difference from the tape": [
            abs(ours - theirs.numpy()).max()
            for ours, theirs in zip([each for layer in gradients for each in layer], by_variables, strict=True)
        ],
    },
    index=["W1", "b1", "W2", "b2", "W3", "b3"],
)

# %% [markdown]
# ## 6. Train
#
# Forward, back, a step down: that is all of training. The single layer, trained alike, is beside it.


# %%
def train(layers, n_steps, rate=1.0):
    """Layers after n_steps of gradient descent on all regions at once, and the loss before each step."""
    losses = []
    for _ in range(n_steps):
        activations = forward(motifs, layers)
        losses.append(((is_open - activations[-1]) ** 2).mean())
        gradients, _ = backward(activations, is_open, layers)
        layers = [(W - rate * dW, b - rate * db) for (W, b), (dW, db) in zip(layers, gradients, strict=True)]
    return layers, np.array(losses)


trained, losses = train(start, N_STEPS)
single, single_losses = train(drawn_layers(2, 1), N_STEPS)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), width_ratios=[1.25, 1, 1], layout="constrained")
left.plot(losses, color="#12928a", label="three layers")
left.plot(single_losses, color="#8f99a4", label="one layer")
left.set(xlabel="step", ylabel="mean squared error", ylim=(0, None))
left.legend(frameon=False)
grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 100)] * 2), axis=-1)
for ax, name, layers in ((middle, "three layers", trained), (right, "one layer", single)):
    prediction = forward(grid.reshape(-1, 2), layers)[-1].reshape(100, 100)
    shades = ax.imshow(prediction, origin="lower", extent=(-1, 1, -1, 1), cmap="RdBu_r", vmin=0, vmax=1, alpha=0.7)
    for label, marker, colour in ((1, "o", "#8c1d2b"), (0, "x", "#1f4e8c")):
        ax.scatter(*motifs[is_open[:, 0] == label].T, s=14, marker=marker, color=colour, linewidths=1)
    ax.set(title=name, xlabel="motif 1", ylabel="motif 2", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
figure.colorbar(shades, ax=right, label="prediction (o: open, x: closed)")
assert losses[-1] < losses[0]
assert losses[-1] < 0.5 * single_losses[-1]

# %% [markdown]
# Keras does the same. From the same weights, its plain gradient descent walks down the same losses.

# %%
model = keras.Sequential(
    [
        keras.Input((2,)),
        keras.layers.Dense(16, "tanh"),
        keras.layers.Dense(8, "tanh"),
        keras.layers.Dense(1, "sigmoid"),
    ]
)
model.set_weights([each for layer in start for each in layer])
model.compile(keras.optimizers.SGD(learning_rate=1.0), "mean_squared_error")
history = model.fit(motifs, is_open, batch_size=len(motifs), epochs=20, shuffle=False, verbose=0).history["loss"]
np.testing.assert_allclose(history, losses[:20], rtol=1e-4)
pd.DataFrame({"by hand": losses[:20], "Keras": history}).iloc[[0, 1, 5, 10, 19]].rename_axis("step").round(6)

# %% [markdown]
# ## 7. Through a convolution and a max-pool
#
# Networks of DNA begin with these two. Both are steps like the others, so both have a Jacobian.
#
# **A convolution** slides weights $\mathbf{K}$ over the sequence: $c_i = \sum_{k, a} x_{i + k, a} K_{k a}$. It is a
# weighted sum, so its Jacobian holds the weights: $\partial c_i / \partial x_{j a} = K_{j - i, a}$ where $j$ lies in
# the window of $i$, else 0. Going back, every place $j$ collects from all windows that hold it:
#
# $$\frac{\partial L}{\partial x_{j a}} = \sum_k \delta_{j - k} K_{k a}, \qquad
# \frac{\partial L}{\partial K_{k a}} = \sum_i \delta_i\, x_{i + k, a}$$
#
# The first is a convolution with the weights turned round, and the second slides the sequence over $\delta$.
#
# **A max-pool** keeps the largest of each stretch. Its Jacobian has a single 1 in each row, at the place that won; all
# others get nothing, however close they were.

# %%
LENGTH, WIDTH, POOL = 12, 3, 5
bases = rng.integers(0, 4, LENGTH)
sequence = np.eye(4)[bases]
kernel = rng.normal(size=(WIDTH, 4))
n_windows = LENGTH - WIDTH + 1
n_pools = n_windows // POOL
v = rng.normal(size=n_pools)  # what stands above the pool: a weighted sum


def convolve(x):
    return np.array([(x[i : i + WIDTH] * kernel).sum() for i in range(n_windows)])


def pool(c):
    return c.reshape(n_pools, POOL).max(axis=1)


by_input = np.zeros((n_windows, LENGTH, 4))  # the Jacobian of the convolution
for i in range(n_windows):
    by_input[i, i : i + WIDTH] = kernel
convolved = convolve(sequence)
winners = convolved.reshape(n_pools, POOL).argmax(axis=1) + POOL * np.arange(n_pools)
by_window = np.eye(n_windows)[winners]  # of the pool: a 1 in each row

np.testing.assert_allclose(
    by_input.reshape(n_windows, -1), measured(lambda x: convolve(x.reshape(-1, 4)), sequence.ravel()), atol=1e-8
)
np.testing.assert_allclose(by_window, measured(pool, convolved), atol=1e-8)

# %% [markdown]
# Their product, by the formulas above and by the tape, for the input (which attribution reads) and for the kernel
# (which training moves):

# %%
delta = v @ by_window  # gradient of the convolution's results: v at the winners, 0 elsewhere
padded = np.concatenate([np.zeros(WIDTH - 1), delta, np.zeros(WIDTH - 1)])
input_gradient = np.array([padded[j : j + WIDTH][::-1] @ kernel for j in range(LENGTH)])
kernel_gradient = np.array([delta @ sequence[k : k + n_windows] for k in range(WIDTH)])

x, K = tf.Variable(sequence[None]), tf.Variable(kernel[:, :, None])
with tf.GradientTape() as tape:
    pooled = tf.nn.max_pool1d(tf.nn.conv1d(x, K, stride=1, padding="VALID"), POOL, POOL, "VALID")
    output = tf.reduce_sum(pooled[0, :, 0] * v)
by_tape, kernel_by_tape = tape.gradient(output, [x, K])
equal(input_gradient, np.tensordot(delta, by_input, axes=1))
equal(input_gradient, by_tape[0].numpy())
equal(kernel_gradient, kernel_by_tape[:, :, 0].numpy())

figure, axes = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained", width_ratios=[1, 1.2, 1.2])
panels = {
    "max-pool: one window of each stretch": (by_window, "windows", "pools"),
    "convolution, x as numbers": (np.einsum("ija,ja->ij", by_input, sequence), "places", "windows"),
    "gradient of the input": (input_gradient.T, "places", "bases"),
}
for ax, (title, (matrix, across, down)) in zip(axes, panels.items(), strict=True):
    most = abs(matrix).max()
    ax.pcolormesh(matrix[::-1], cmap="RdBu_r", vmin=-most, vmax=most, edgecolors="0.85", linewidth=0.6)
    ax.set(title=title, xticks=[], yticks=[], xlabel=across, ylabel=down)
axes[2].set_yticks([3.5, 2.5, 1.5, 0.5], "ACGT")

# %% [markdown]
# The last panel is what a saliency map is made of. A base outside the windows that won has *no* gradient at all, though
# it may spell the motif just as well: of two copies in one stretch, the pool lets one through. Methods differ in how
# they go through a max-pool, and `maxpool="gradient"` of DeepLIFT does exactly this.

# %%
outside = np.ones(LENGTH, bool)
for winner in winners:
    outside[winner : winner + WIDTH] = False
assert (input_gradient[outside] == 0).all()
print(f"{outside.sum()} of {LENGTH} bases get nothing")
