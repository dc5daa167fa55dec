"""The templates of HTML pages: every value is text, and a name that is missing is an error."""

from __future__ import annotations

import functools

import jinja2
from markupsafe import Markup

from simbench_tf.plot.numbers import fixed

_LOADER = jinja2.PackageLoader("simbench_tf.report")


@functools.cache
def page_template(name: str) -> jinja2.Template:
    """A page of the folder of templates; it may format numbers by the filter ``fixed``."""
    environment = jinja2.Environment(
        loader=_LOADER, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["fixed"] = fixed
    return environment.get_template(name)


@functools.cache
def page_script(*names: str) -> Markup:
    """A page's script, of files one after another, as it will stand there: a browser runs it by its hash."""
    environment = jinja2.Environment(autoescape=True)
    return Markup("\n".join(_LOADER.get_source(environment, name)[0] for name in names))
