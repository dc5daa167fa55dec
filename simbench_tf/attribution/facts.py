r"""Facts of each attribution method and no code: its formula, cost in passes, when to trust it, its paper.

Kept once, for the pages of the site (docs/make_methods.py) and for whatever else shows a method. A formula is LaTeX: f
is the explained output, x the one-hot sequence, r a reference, l a position, c a channel, and s_l the score of the
base at l.
"""

from __future__ import annotations

from typing import NamedTuple


class Facts(NamedTuple):
    """What a user should know of a method.

    Attributes
    ----------
    formula : str
        The score of a base, in LaTeX.
    cost : str
        Passes through the network, for a sequence and output.
    trust : str
        Where its scores mean what they seem to.
    doubt : str
        Where they do not.
    paper : str
        Authors, title, place and year, with an address.
    """

    formula: str
    cost: str
    trust: str
    doubt: str
    paper: str


_DEEPLIFT = (
    "Shrikumar, Greenside and Kundaje, Learning Important Features Through Propagating Activation Differences, "
    "ICML 2017, <https://proceedings.mlr.press/v70/shrikumar17a.html>"
)
_SIMULATED = (
    "Prakash, Shrikumar and Kundaje, Towards More Realistic Simulated Datasets for Benchmarking Deep Learning Models "
    "in Regulatory Genomics, MLCB 2021, PMLR 165:58-77, <https://proceedings.mlr.press/v165/prakash22a.html>"
)
_GRADCAM = (
    "Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017, "
    "<https://doi.org/10.1109/ICCV.2017.74>"
)
_MULTIPLIERS = r"s_l = \frac{1}{R} \sum_{r} \sum_c m_{lc}(x, r)\, (x_{lc} - r_{lc})"
_ONE_GRADIENT = "One pass forward and one back."
_A_PAIR_OF_PASSES = "For each reference one pass forward and one back, as of gradients; the sequence's own is shared."
_LAYERS = "It reads the model's layers, so a class of your own, or the exact posterior, is refused."
_OF_MODULES = "Keras models are not taken: `deeplift_rescale` is for these."

#: Meanings of settings; METHOD.SETTING where methods differ.
SETTINGS = {
    "strands": "`both`: the mean with the reverse complement's attribution, turned back.",
    "dependency_map.shifts": "None but 0: they would move bases out of the window.",
    "shifts": "K: the mean over the sequence moved by -K, ..., K bases, moved back.",
    "maxpool": "How max-pooling passes credit on: by DeepLIFT's Rescale, or to the base that won (`gradient`).",
    "layer": "`first` or `last` convolution, with its activation, or a layer's name.",
    "pooling": "How a channel's gradients become its weight: their mean or the largest.",
    "relu": "Whether what is negative becomes 0.",
    "correct": "Whether the mean over the four channels is taken from each position's gradient.",
    "n_steps": "Points on the way from each reference.",
    "path": "`linear`: the straight way. `shuffle`: through sequences that turn into the explained one letter by "
    "letter.",
    "smoothgrad.n_samples": "Noisy copies of the input.",
    "expected_gradients.n_samples": "Random points for each reference.",
    "noise": "Standard deviation of the noise, as a share of the input's range, which is 1.",
    "normalize": "Whether each map is scaled to 0 to 1.",
    "start": "First base that is substituted.",
    "end": "The base after the last; without it, the sequence's end.",
    "fast": "Whether only what a substitution can change is computed, where the model allows it.",
    "window": "Bases of the map, W; a shorter sequence is all of it.",
    "centre": "The base that the window lies around; without it, the middle.",
}


def meaning(method: str, setting: str) -> str:
    """What a setting of a method means.

    Examples
    --------
    >>> meaning("smoothgrad", "n_samples")
    'Noisy copies of the input.'
    """
    return SETTINGS.get(f"{method}.{setting}") or SETTINGS[setting]


#: By the name of the method.
FACTS: dict[str, Facts] = {
    "saliency": Facts(
        r"s_l = \max_c \left| \frac{\partial f}{\partial x_{lc}} \right|",
        _ONE_GRADIENT,
        "The cheapest look at where the output is sensitive, on networks that do not saturate.",
        "Where a site is strong enough to saturate the network the gradient vanishes, and the site with it. It has no "
        "sign, and its size does not say how much a site counts.",
        "Simonyan, Vedaldi and Zisserman, Deep Inside Convolutional Networks, ICLR workshop 2014, "
        "<https://arxiv.org/abs/1312.6034>",
    ),
    "grad_x_input": Facts(
        r"s_l = \sum_c x_{lc} \frac{\partial f}{\partial x_{lc}}",
        _ONE_GRADIENT,
        "A network that is close to linear around the sequence; a first look beside a better method.",
        "It saturates as saliency does, and shows rules that join motifs hardly at all. The gradient at the observed "
        "base alone depends on what the four channels have in common, which one-hot input never shows: "
        "`correct: true` takes their mean away.",
        "Shrikumar, Greenside, Shcherbina and Kundaje, Not Just a Black Box, 2016, <https://arxiv.org/abs/1605.01713>",
    ),
    "smoothgrad": Facts(
        r"s_l = \sum_c x_{lc}\, \frac{1}{n} \sum_{i=1}^{n} \frac{\partial f}{\partial x_{lc}}(x + \epsilon_i), "
        r"\quad \epsilon_i \sim N(0, \sigma^2)",
        "`n_samples` passes forward and back.",
        "Where gradients are noisy from base to base.",
        "Noise moves the input to where no sequence is. Saturation stays, and the cost is that of a method that sees "
        "through it.",
        "Smilkov et al., SmoothGrad: removing noise by adding noise, 2017, <https://arxiv.org/abs/1706.03825>",
    ),
    "integrated_gradients": Facts(
        r"s_l = \frac{1}{R} \sum_{r} \sum_c (x_{lc} - r_{lc}) \int_0^1 \frac{\partial f}{\partial x_{lc}}"
        r"\bigl(r + \alpha (x - r)\bigr)\, d\alpha",
        "`n_steps` passes forward and back for each reference, and one forward.",
        "How much each site counts, not only where it is; any differentiable model. Look at `convergence_delta`: small "
        "where `n_steps` were enough.",
        "From zeros where strong sites saturate the network: take shuffles. `path: shuffle` walks through real "
        "sequences, but its gradients need not add up, and it ranked bases worse in every comparison here.",
        "Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017, "
        "<https://proceedings.mlr.press/v70/sundararajan17a.html>",
    ),
    "expected_gradients": Facts(
        r"s_l = \mathbb{E}_{r,\, \alpha \sim U(0, 1)} \sum_c (x_{lc} - r_{lc}) \frac{\partial f}{\partial x_{lc}}"
        r"\bigl(r + \alpha (x - r)\bigr)",
        "`n_samples` passes forward and back for each reference, and one forward.",
        "As integrated gradients from shuffles, whose integral it draws at random.",
        "With few points its noise is that of chance: `convergence_delta` shows it.",
        "Erion et al., Improving performance of deep learning models with axiomatic attribution priors and expected "
        "gradients, Nature Machine Intelligence 2021, <https://doi.org/10.1038/s42256-021-00343-w>",
    ),
    "gradcam": Facts(
        r"s_l = \sum_p w_{lp}\, \mathrm{ReLU}\Bigl(\sum_k a_k A_{pk}\Bigr), \quad "
        r"a_k = \frac{1}{P} \sum_p \frac{\partial f}{\partial A_{pk}}",
        _ONE_GRADIENT,
        "Which stretch of a long sequence matters, where a coarse answer will do. Layers differ widely: on the demo's "
        "Beluga the second was the best, the first no better than chance.",
        f"At the last layer a position sees hundreds of bases, and none is told from its neighbours. Pooling over "
        f"positions forgets where a channel counts: compare with `grad_x_activation`. {_LAYERS}",
        _GRADCAM,
    ),
    "gradcam_channel": Facts(
        r"s_l = \sum_p w_{lp}\, \mathrm{ReLU}\Bigl(\bar{G}_p \sum_k A_{pk}\Bigr), \quad "
        r"\bar{G}_p = \frac{1}{K} \sum_k \frac{\partial f}{\partial A_{pk}}",
        _ONE_GRADIENT,
        "To compare with figures that the paper's program made; it is no method of choice.",
        f"The mean over channels weighs what speaks for and against the output alike. {_LAYERS}",
        _SIMULATED,
    ),
    "grad_x_activation": Facts(
        r"s_l = \sum_p w_{lp} \sum_k A_{pk} \frac{\partial f}{\partial A_{pk}}",
        _ONE_GRADIENT,
        "At the first or second layer, for the price of a gradient, where the network does not saturate.",
        f"On networks that saturate it is as blind as gradients of the input are; at deep layers as coarse as "
        f"Grad-CAM. {_LAYERS}",
        _SIMULATED,
    ),
    "deeplift_rescale": Facts(
        _MULTIPLIERS + r", \quad m_{\Delta y \Delta u} = \frac{\Delta y}{\Delta u} \text{ at each activation } y(u)",
        _A_PAIR_OF_PASSES,
        "The method to begin with, by dinucleotide shuffles: it sees strong sites that saturate the network, credit "
        "follows rules that join motifs, and contributions add up (`convergence_delta`).",
        f"From zeros it loses most of that where strong sites saturate. Two inputs that cancel within one activation "
        f"stay hidden. {_LAYERS}",
        _DEEPLIFT,
    ),
    "deeplift_revealcancel": Facts(
        _MULTIPLIERS + r", \quad \Delta y^{\pm} = \tfrac{1}{2} \bigl[ y(u_0 + \Delta u^{\pm}) - y(u_0) + "
        r"y(u) - y(u_0 + \Delta u^{\mp}) \bigr]",
        "As DeepLIFT Rescale, for what raises and what lowers each activation apart: up to twice as long.",
        "After dense layers, as in `deeplift_genomics`; where inputs cancel each other and Rescale shows neither.",
        f"On every layer of a deep convolutional network, and on networks with large thresholds, it fails badly at "
        f"times: never take it without Rescale beside it. {_LAYERS}",
        _DEEPLIFT,
    ),
    "deeplift_genomics": Facts(
        _MULTIPLIERS + r", \quad m \text{ by Rescale after convolutions, by RevealCancel after dense layers}",
        _A_PAIR_OF_PASSES,
        "As DeepLIFT Rescale, from which it is hardly told apart here: first or level with the first on networks that "
        "saturate.",
        f"From zeros, where strong sites saturate. {_LAYERS}",
        _DEEPLIFT,
    ),
    "deepshap": Facts(
        _MULTIPLIERS + r", \quad m \text{ by SHAP's rules, which are Rescale's}",
        "As DeepLIFT Rescale; SHAP takes one sequence at a time: two to three times as long on trained networks.",
        "To check `deeplift_rescale`, whose scores it gives, or to compare with what others did by SHAP.",
        f"It gives no hypothetical contributions, so TF-MoDISco has less to work with. {_LAYERS}",
        "Lundberg and Lee, A Unified Approach to Interpreting Model Predictions, NeurIPS 2017, "
        "<https://arxiv.org/abs/1705.07874>",
    ),
    "deeplift_captum": Facts(
        _MULTIPLIERS,
        _A_PAIR_OF_PASSES,
        "To compare with what others did by Captum, for PyTorch modules built of `nn.ReLU`, `nn.MaxPool1d` and the "
        "like.",
        f"An activation that is called as a function (`torch.relu(x)`) has no rule, nor has a pooling right after a "
        f"`nn.ReLU`: its gradient is taken without an error, and `convergence_delta` shows it. {_OF_MODULES}",
        f"Captum, <https://captum.ai>; {_DEEPLIFT}",
    ),
    "deeplift_tangermeme": Facts(
        _MULTIPLIERS,
        _A_PAIR_OF_PASSES,
        "To compare with what others did by tangermeme, for PyTorch modules built of `nn.ReLU`, `nn.MaxPool1d` and the "
        "like.",
        f"An activation that is called as a function (`torch.relu(x)`) has no rule: its gradient is taken without an "
        f"error, and `convergence_delta` shows it. {_OF_MODULES}",
        f"tangermeme, <https://github.com/jmschrei/tangermeme>; {_DEEPLIFT}",
    ),
    "gradcam_tf_keras_vis": Facts(
        r"s_l = \text{Grad-CAM's } \mathrm{ReLU}\Bigl(\sum_k a_k A_{pk}\Bigr) \text{ at } p = l P / L, \text{ by "
        r"linear interpolation}",
        _ONE_GRADIENT,
        "To compare with what others did by tf-keras-vis.",
        f"Positions are stretched evenly over the sequence, wherever their receptive fields lie; with `normalize` "
        f"scores of two sequences have no common scale. {_LAYERS}",
        f"tf-keras-vis, <https://github.com/keisen/tf-keras-vis>; {_GRADCAM}",
    ),
    "ism": Facts(
        r"s_l = -\frac{1}{3} \sum_{c \ne x_l} \bigl[ f(x_{l \to c}) - f(x) \bigr]",
        "3 L passes forward; where layers are known, in branches as well, only what a substitution can change is "
        "computed.",
        "Any model at all, the exact posterior too: it asks what an experiment with single substitutions would.",
        "One substitution does not break a strong site, nor a site of which there are two: both count for less than "
        "they do. It is dear on long sequences, since passes grow with L.",
        "Zhou and Troyanskaya, Predicting effects of noncoding variants with deep learning-based sequence model, "
        "Nature Methods 2015, <https://doi.org/10.1038/nmeth.3547>; Nair et al., fastISM, Bioinformatics 2022, "
        "<https://doi.org/10.1093/bioinformatics/btac135>",
    ),
    "gkmexplain": Facts(
        r"s_l = \sum_{u \ni l} \sum_{v:\, v_l = u_l} \frac{\alpha_v\, h(m_{uv})}{n_x\, n_v\, (w - m_{uv})} \quad "
        r"\text{over words } u \text{ of } w \text{ bases, } v \text{ of support sequences, } n \text{ the norms}",
        "One pass, by a table of all words, which is made once for a task.",
        "A gkm-SVM, of which it divides the decision value among the bases exactly.",
        "It is for gkm-SVMs alone. Words that overlap a site in part are given to it, too, so its scores reach beyond "
        "the site's ends.",
        "Shrikumar, Prakash and Kundaje, GkmExplain: fast and accurate interpretation of nonlinear gapped k-mer SVMs, "
        "Bioinformatics 2019, <https://doi.org/10.1093/bioinformatics/btz322>",
    ),
    "dependency_map": Facts(
        r"s_i = \sum_{j \ne i} \max_{a, b} \bigl| f(x_{i \to a,\, j \to b}) - f(x_{i \to a}) - f(x_{j \to b}) + f(x) "
        r"\bigr|",
        "About 4.5 W² passes forward for a window of W bases.",
        "Which bases the model takes together: bases of one motif, motifs of a pair. A few sequences, the bases that "
        "matter.",
        "It has no sign and is 0 outside of its window, so its auPRC over whole sequences says little.",
        "Tomaz da Silva et al., Nucleotide dependency analysis of genomic language models detects functional elements, "
        "Nature Genetics 2025, <https://doi.org/10.1038/s41588-025-02347-3>",
    ),
}
