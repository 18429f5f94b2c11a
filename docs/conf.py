"""The settings of the documentation."""

import re
from importlib.metadata import version as _version

project = "unihooks"
author = "unihooks contributors"
project_copyright = "unihooks contributors"
release = version = _version("unihooks")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "examples"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = f"unihooks {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True}

# Annotations name private modules and other projects. The index has neither,
# since the documentation is built without the network.
nitpick_ignore_regex = [("py:.*", r".*")]


def _mark_code(_app, _what, _name, _object, _options, lines):
    # Docstrings put code between single backticks, but reStructuredText needs two.
    lines[:] = [re.sub(r"(?<!`)`([^`]+)`(?!`)(?=(\w)?)", _doubled, line) for line in lines]


def _doubled(match):
    return f"``{match[1]}``" + ("\\ " if match[2] else "")


def setup(app):
    """Connect the functions above to Sphinx."""
    app.connect("autodoc-process-docstring", _mark_code)
