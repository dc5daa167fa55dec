"""Colours, bare axes, and figures as SVG for a web page: what all plots share. Equal figures give equal bytes."""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Mid-tones that show on light and dark grounds; `svg` hands each to the page as a CSS variable.
INK, QUIET, FAINT = "#6b7580", "#8f99a4", "#b4bcc5"
ACCENT, CHANCE, CEILING, SITE = "#12928a", "#c77d17", "#8a6fc4", "#e0b040"
#: Of text on the accent.
ON_ACCENT = "#fefefe"


#: A, C, G, T as the field colours them.
BASE_COLOURS = {"A": "#2a9d4e", "C": "#3b7dd8", "G": "#e0a100", "T": "#d6453d"}


#: A gid that begins so is what a page tells of an element under the pointer.
TIP = "tip:"


#: Font size of all but headings, in points.
SMALL = 9.0
#: Points an inch of a figure in a notebook, at twice the resolution.
_SHOWN_DPI = 160
_VARIABLES = {
    INK: "--plot-ink",
    QUIET: "--plot-quiet",
    FAINT: "--plot-faint",
    ACCENT: "--plot-accent",
    CHANCE: "--plot-chance",
    CEILING: "--plot-ceiling",
    SITE: "--plot-site",
    ON_ACCENT: "--plot-on-accent",
}
_COLOUR = re.compile("|".join(_VARIABLES))
_NUMBER = re.compile(r"-?\d+\.\d+")
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")


def svg(drawn: Figure | Axes, title: str, prefix: str = "") -> str:
    """Write a figure, or the figure that axes are in, as an ``<svg>`` element to be put into an HTML page.

    Parameters
    ----------
    drawn : Figure or Axes
    title : str
        What the figure shows, for readers who do not see it; any text.
    prefix : str, default ""
        Put before every id, so that several figures share a page.

    Returns
    -------
    markup : str
        No size of its own, only a viewBox. Text stays text, escaped, in the page's font; gids are classes. Our colours
        are CSS variables (``--plot-ink``...) with the mid-tones as their defaults. Equal figures give equal markup.

    Examples
    --------
    >>> figure = Figure(figsize=(1, 1))
    >>> _ = figure.text(0, 0, "<b>", color=INK)
    >>> markup = svg(figure, "a & b")
    >>> "&lt;b&gt;</text>" in markup, "<title>a &amp; b</title>" in markup, "var(--plot-ink, #6b7580)" in markup
    (True, True, True)
    """
    figure = _figure(drawn) if isinstance(drawn, Axes) else drawn
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "simbench_tf"}), warnings.catch_warnings():
        # the page's fonts draw the text, whatever letters matplotlib's own font lacks
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        _tidy(element, prefix)
    for group in list(root.iter("g")):
        told = group.get("class", "")
        if told.startswith(TIP):
            group.set("class", "told")
            tip = ElementTree.Element("title")
            tip.text = told.removeprefix(TIP)
            group.insert(0, tip)
    for holder in list(root.iter()):
        for child in list(holder):
            # the first describes matplotlib, the second holds rules that would apply to the whole page
            if child.tag == "metadata" or child.tag == "style":
                holder.remove(child)
    root.attrib.clear()
    width, height = (72 * inches for inches in figure.get_size_inches())
    root.attrib.update({"viewBox": f"0 0 {width:g} {height:g}", "role": "img"})
    name = ElementTree.Element("title")
    name.text = readable(title, 200)
    root.insert(0, name)
    return ElementTree.tostring(root, encoding="unicode")


def _tidy(element: ElementTree.Element, prefix: str) -> None:
    attributes = dict(element.attrib)
    element.attrib.clear()
    for key, value in attributes.items():
        name = key.rpartition("}")[2]  # xlink:href is plain href by now
        if name == "id" and element.tag == "g":
            name = "class"  # nothing refers to groups, and several may share what they are
        elif name == "id":
            value = prefix + value
        elif name == "href":
            value = "#" + prefix + value.removeprefix("#")
        elif name == "d":
            value = _compact(value)
        elif name in ("x", "y", "transform"):
            value = _NUMBER.sub(_short, value)
        else:
            value = _FAMILY.sub("", value)
            value = _REFERENCE.sub(rf"url(#{prefix}\1)", value)
            value = _COLOUR.sub(lambda match: f"var({_VARIABLES[match[0]]}, {match[0]})", value)
        if value:
            element.attrib[name] = value
    if element.tag != "text" and not (element.text or "").strip():
        element.text = None
    element.tail = None


def _compact(outline: str) -> str:
    """Path data to a hundredth of a point, without the letters and spaces it can do without."""
    outline = _NUMBER.sub(_short, outline)
    outline = re.sub(r"\s*([A-Za-z])\s*", r"\1", outline.strip())
    outline = re.sub(r"M(\S+) ([^A-Za-z\s]+)L\1 ", r"M\1 \2V", outline)
    # a repeated command need not be named again
    return re.sub(r"(L|Q)([^A-Za-z]+)((?:\1[^A-Za-z]+)+)", lambda m: m[1] + m[2] + m[3].replace(m[1], " "), outline)


def _short(match: re.Match[str]) -> str:
    text = f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def readable(text: object, longest: int) -> str:
    r"""A name fit to be drawn: on one line, without control characters, cut with an ellipsis.

    Examples
    --------
    >>> readable("chr2:1\tpeak \x00 7", 10)
    'chr2:1 pe…'
    """
    line = " ".join(str(text).split())
    line = "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs", "Cn") else letter for letter in line)
    return line if len(line) <= longest else line[: longest - 1] + "…"


class ShownFigure(Figure):
    """A figure that a notebook shows when a cell ends in it, whether or not pyplot was imported."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """A PNG of twice the resolution, and the size at which it is shown."""
        buffer, (width, height) = io.BytesIO(), self.get_size_inches()
        self.savefig(buffer, format="png", dpi=_SHOWN_DPI, facecolor="white")
        return buffer.getvalue(), {"width": round(_SHOWN_DPI / 2 * width), "height": round(_SHOWN_DPI / 2 * height)}


class ShownAxes(Axes):
    """Axes of such a figure, which a notebook shows as the figure."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]] | None:
        figure = self.get_figure(root=True)
        return figure._repr_png_() if isinstance(figure, ShownFigure) else None


def new_axes(ax: Axes | None, width: float, height: float, **margins: float) -> Axes:
    """The axes given, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    figure = ShownFigure(figsize=(width, height))
    figure.subplots_adjust(**margins)
    return figure.add_subplot(axes_class=ShownAxes)


def style_axes(ax: Axes) -> None:
    """Bare axes: no ground, no box, quiet lines and readable numbers."""
    ax.set_facecolor("none")
    _figure(ax).set_facecolor("none")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FAINT)
    ax.tick_params(which="both", colors=FAINT, labelcolor=INK, labelsize=SMALL, length=3)


def plain_number(value: float, _: object = None) -> str:
    """A number on an axis: short, never as a power of ten that needs small type.

    Examples
    --------
    >>> plain_number(.003), plain_number(250), plain_number(12_000)
    ('0.003', '250', '12k')
    """
    return f"{value / 1000:.3g}k" if value >= 10_000 else f"{value:g}"


def points_across(ax: Axes) -> float:
    """Width of the axes in points."""
    return float(ax.get_position().width * _figure(ax).get_figwidth() * 72)


def points_tall(ax: Axes) -> float:
    """Height of the axes in points."""
    return float(ax.get_position().height * _figure(ax).get_figheight() * 72)


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    return figure
