"""The site: `make docs` builds it into docs/_build/html."""

from keras_resizable import __version__

project = "keras_resizable"
release = version = __version__
html_title = f"keras_resizable {release}"
html_theme = "furo"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
# Outputs of notebooks are those that `make notebooks` left in them.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Docstrings are those of this library: Keras's would come with methods that have none.
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Call arguments", "params_style"), "Input shape"]


def write_tables(app, what, name, obj, options, lines):
    """Tables of docstrings, which are Markdown, in reStructuredText."""
    written = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            written.append(line)
        elif set("".join(cells)) - set("-:"):  # Not the line below the names.
            starts_table = not written[-1].startswith("   ")
            if starts_table:
                written += [".. list-table::", "   :header-rows: 1", ""]
            for number, cell in enumerate(cells):
                written.append(f"   {' ' if number else '*'} - {cell}")
    lines[:] = written


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", write_tables)
