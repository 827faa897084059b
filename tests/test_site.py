"""The site is built without a warning, has all that is public; notebooks were run."""

import pathlib
import types

import nbformat
import processes
import pytest
from sphinx.util.inventory import InventoryFile

import keras_resizable

DOCS = pathlib.Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    program = (
        "import sys; from sphinx.cmd.build import main; sys.exit(main(sys.argv[1:]))"
    )
    options = ("--fail-on-warning", "--keep-going", "--quiet", "-b", "html")
    folders = ("-d", folder / "doctrees", DOCS, folder / "html")
    done = processes.run("-c", program, *options, *folders, folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_the_reference_has_all_that_is_public(site):
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    found = {
        name
        for kind, names in inventory.data.items()
        if kind.startswith("py:")
        for name in names
    }
    missing = []
    for name in keras_resizable.__all__:
        value = getattr(keras_resizable, name)
        if not isinstance(value, types.ModuleType):
            missing += [name] * (f"keras_resizable.{name}" not in found)
            continue
        for inner in value.__all__:
            # What the top level has too is on its page.
            places = {f"{value.__name__}.{inner}", f"keras_resizable.{inner}"}
            missing += [f"{name}.{inner}"] * (not places & found)
    assert not missing


def test_tables_of_docstrings_are_tables(site):
    page = (site / "reference/export.html").read_text()
    assert "<td><p>int8 per channel, a quarter</p></td>" in page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_were_run_as_they_are(path):
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(output.output_type != "error" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
