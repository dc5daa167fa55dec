"""Formulas as pictures: LaTeX drawn as outlines by matplotlib, for pages that load neither scripts nor fonts."""

from __future__ import annotations

import re

from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from simbench_tf.plot.figure import INK

#: Points of the letters.
_SIZE = 11.0
#: Points around them.
_MARGIN = 2.0


def formula(latex: str) -> Figure:
    r"""Draw a formula.

    Parameters
    ----------
    latex : str
        Without dollar signs. What matplotlib's mathtext knows, and ``\text``, ``\tfrac`` and sizes of brackets.

    Returns
    -------
    Figure
        As large as the formula.

    Raises
    ------
    ValueError
        Mathtext does not know a command.

    Examples
    --------
    >>> figure = formula(r"\tfrac{1}{2} \bigl[ f(x) \text{ at } x \bigr]")
    >>> width, height = figure.get_size_inches()
    >>> bool(width > 2 * height)
    True
    """
    outline = TextPath((0, 0), f"${_mathtext(latex)}$", size=_SIZE)
    box = outline.get_extents()
    figure = Figure(figsize=((box.width + 2 * _MARGIN) / 72, (box.height + 2 * _MARGIN) / 72))
    places = Affine2D().translate(_MARGIN - box.x0, _MARGIN - box.y0).scale(1 / 72) + figure.dpi_scale_trans
    figure.add_artist(PathPatch(outline, facecolor=INK, linewidth=0, transform=places))
    return figure


def _mathtext(latex: str) -> str:
    r"""LaTeX in the words of mathtext.

    Examples
    --------
    >>> _mathtext(r"\Bigl( \tfrac{1}{P} \text{ at } p \Bigr)")
    '( \\frac{1}{P} \\mathrm{\\ at\\ } p )'
    """
    latex = re.sub(r"\\[bB]igg?[lr]?(?![a-z])", "", latex).replace(r"\tfrac", r"\frac")
    return re.sub(r"\\text\{([^}]*)\}", lambda match: rf"\mathrm{{{match[1].replace(' ', chr(92) + ' ')}}}", latex)
