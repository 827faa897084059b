import ast
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

import keras_resizable
from keras_resizable.extras import import_extra

ROOT = pathlib.Path(__file__).parents[1]
LIBRARY = ROOT / "keras_resizable"
TESTS = sorted(ROOT.glob("tests/**/test_*.py"))
SCRIPTS = sorted(
    path
    for folder in ("train", "tflite", "benchmarks")
    for path in ROOT.glob(f"{folder}/*.py")
)

# What each part may import, besides itself. Imports go one way.
LAYERS = {"batches", "extras", "files", "graph", "messages", "outputs", "space"}
CORE = LAYERS | {
    *("calibration", "flops", "layers", "parts", "sampling", "shapes", "statistics"),
    "sub_network",
}
NETWORK = CORE | {"checks"} | {"distribution", "divergence", "network", "training"}
RUN = NETWORK | {"saving", "checkpoint", "history", "averaging"}
MAY_IMPORT = {
    "space": set(),
    "files": set(),
    "digests": set(),
    "extras": set(),
    "averaging": set(),
    "batches": set(),
    "checks": {"distillation", "graph", "layers", "sampling"},
    "messages": set(),
    "graph": set(),
    "flops": {"graph", "layers", "shapes"},
    "parts": {"calibration", "flops", "layers", "space", "sub_network"},
    "pieces": NETWORK,
    "tree": NETWORK,
    "calibration": {"batches", "graph", "layers"},
    "shapes": {"graph", "layers", "messages", "space"},
    "distillation": set(),
    "outputs": set(),
    "scripts": set(),
    "distribution": set(),
    "divergence": {"space"},
    "runs": {"files", "extras"},
    "history": LAYERS,
    "layers": LAYERS,
    "sampling": LAYERS,
    "statistics": LAYERS,
    "sub_network": LAYERS | {"calibration", "layers"},
    "training": CORE,
    "network": NETWORK | {"distillation"},
    "memory": NETWORK,
    "saving": NETWORK,
    "checkpoint": NETWORK,
    "callbacks": RUN,
    "resuming": RUN | {"callbacks"},
    "models": NETWORK,
    "data": NETWORK,
    "fine_tuning": {"graph", "outputs"},
    "export": NETWORK | {"digests"},
    "devices": LAYERS | {"export"},
    "adapt": NETWORK | {"digests", "export", "pieces", "search", "tree"},
    "search": NETWORK | {"digests", "devices", "export", "pieces", "tree"},
}


def imported(path):
    """What a file imports when it runs, without what only its annotations name."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            yield node.module
            if node.module == "keras_resizable":
                yield from (f"keras_resizable.{alias.name}" for alias in node.names)


def test_imports_go_one_way():
    for path in LIBRARY.rglob("*.py"):
        part = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for module in imported(path):
            if module.startswith("keras_resizable."):
                used = module.split(".")[1]
                assert used == part or used in MAY_IMPORT[part], path


def test_space_imports_no_tensorflow():
    assert not {"tensorflow", "keras"} & set(imported(LIBRARY / "space.py"))


def test_scripts_import_only_the_library_and_the_library_no_flags():
    for path in SCRIPTS:
        if path.parent.name == "benchmarks":
            continue
        beside = {other.stem for other in path.parent.glob("*.py")}
        third_party = {
            module.split(".")[0]
            for module in imported(path)
            if module.split(".")[0] not in sys.stdlib_module_names | beside
        }
        assert third_party <= {"absl", "keras", "keras_resizable"}, path
    for path in LIBRARY.rglob("*.py"):
        if path == LIBRARY / "scripts.py":
            continue  # It is what the scripts share, flags included.
        modules = {module.split(".")[0] for module in imported(path)}
        assert not {"absl", "argparse"} & modules, path


def test_import_needs_only_the_base_dependencies():
    code = """
import sys
for name in (
    "pandas", "scipy", "bokeh", "matplotlib",
    "ai_edge_litert", "litert_quantizer", "tensorflow_datasets", "tensorboard",
):
    sys.modules[name] = None
import keras_resizable.adapt, keras_resizable.distillation
import keras_resizable.data, keras_resizable.export, keras_resizable.search
import keras_resizable.devices, keras_resizable.resuming
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_missing_extra_is_named():
    with pytest.raises(ImportError, match=r"needs no_such.*keras-resizable\[search\]"):
        import_extra("no_such.module", "search")


def test_public_names_are_there_and_documented():
    for name in keras_resizable.__all__:
        assert getattr(keras_resizable, name).__doc__, name


def test_every_package_is_installed_and_every_extra_is_in_all():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in LIBRARY.rglob("__init__.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == packages
    extras = project["project"]["optional-dependencies"]
    listed = re.fullmatch(r"keras-resizable\[(.*)\]", extras.pop("all")[0])
    assert listed is not None and set(listed[1].split(",")) == set(extras)


def test_changelog_has_this_version():
    assert f"## {keras_resizable.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def evaluate_build():
    """The targets of BUILD: it is Python to an extent, and Bazel may be away."""
    targets = []

    def rule(**arguments):
        targets.append(arguments)

    def glob(patterns, exclude=()):
        paths = {path for pattern in patterns for path in ROOT.glob(pattern)}
        paths -= {path for pattern in exclude for path in ROOT.glob(pattern)}
        return sorted(str(path.relative_to(ROOT)) for path in paths if path.is_file())

    names = ("py_library", "py_binary", "py_test")
    ignored = ("package", "exports_files")
    exec(
        (ROOT / "BUILD").read_text(),
        {name: rule for name in names}
        | {name: lambda *args, **kwargs: None for name in ignored}
        | {"glob": glob},
    )
    return {target["name"]: target for target in targets}


def test_build_has_a_target_for_everything():
    targets = evaluate_build()
    sources = {source for target in targets.values() for source in target["srcs"]}
    for path in [*LIBRARY.rglob("*.py"), *SCRIPTS, *ROOT.glob("tests/**/*.py")]:
        assert str(path.relative_to(ROOT)) in sources, path
    for path in [*SCRIPTS, *TESTS]:
        name = "_".join(path.relative_to(ROOT).with_suffix("").parts)
        assert str(path.relative_to(ROOT)) in targets[name]["srcs"]
    for target in targets.values():
        for dependency in target.get("deps", ()):
            assert dependency.removeprefix(":") in targets, target["name"]


@pytest.mark.skipif(shutil.which("bazel") is None, reason="Bazel is not installed")
def test_bazel_sees_the_same_targets():
    listed = subprocess.run(
        ["bazel", "--batch", "query", "//..."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {label.removeprefix("//:") for label in listed} == set(evaluate_build())
