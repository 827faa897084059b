import ast
import inspect
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import types

import keras
import processes
import pytest

import keras_resizable
from keras_resizable.utils.extras import import_extra

ROOT = pathlib.Path(__file__).parents[1]
LIBRARY = ROOT / "keras_resizable"
TESTS = sorted(ROOT.glob("tests/**/test_*.py"))
SCRIPTS = sorted(
    path
    for folder in ("train", "tflite", "benchmarks")
    for path in ROOT.glob(f"{folder}/*.py")
)

# What each part may import, besides itself. Imports go one way.
CORE = {"space", "layers", "subnetworks", "utils"}
NETWORK = CORE | {"distillation", "network", "samplers", "training"}
MAY_IMPORT = {
    "errors": set(),
    "utils": set(),
    "space": {"utils"},
    "layers": {"space", "utils"},
    "subnetworks": {"layers", "space", "utils"},
    "samplers": {"space", "utils"},
    "distillation": {"utils"},
    "training": CORE | {"distillation", "samplers"},
    "network": NETWORK,
    "conversion": NETWORK,
    "callbacks": NETWORK,
    "models": NETWORK,
    "export": NETWORK,
    "devices": {"export", "utils"},
    "search": NETWORK | {"devices", "export"},
    "adapt": NETWORK | {"export", "search"},
    "workshop": NETWORK
    | {"adapt", "callbacks", "conversion", "devices", "export", "models", "search"},
}
# And in the workshop.
IN_WORKSHOP = {
    "data": set(),
    "recipes": {"data"},
    "runs": {"data", "recipes"},
    "photos": {"data", "recipes", "runs"},
    "commands": {"data", "recipes", "runs", "photos"},
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
            if node.module in ("keras_resizable", "keras_resizable.workshop"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_go_one_way():
    for path in LIBRARY.rglob("*.py"):
        part = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for module in imported(path):
            if module.startswith("keras_resizable."):
                used = module.split(".")[1]
                assert used == part or used in {"errors", *MAY_IMPORT[part]}, path
                if used == part == "workshop" and module.count(".") > 1:
                    own, used = path.parent.name, module.split(".")[2]
                    assert used == own or used in IN_WORKSHOP[own], path


def test_every_part_has_its_line():
    found = {path.stem for path in LIBRARY.glob("*.py")} - {"__init__"}
    found |= {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert found == MAY_IMPORT.keys()
    workshop = {path.parent.name for path in LIBRARY.glob("workshop/*/__init__.py")}
    assert workshop == IN_WORKSHOP.keys()


def test_space_imports_no_tensorflow():
    assert not {"tensorflow", "keras"} & set(imported(LIBRARY / "space.py"))


def test_scripts_are_commands_and_only_commands_have_flags():
    for path in SCRIPTS:
        if path.parent.name != "benchmarks":
            assert set(imported(path)) == {"keras_resizable_command"}, path
    for path in LIBRARY.rglob("*.py"):
        if path.parent.name == "commands":
            continue
        modules = {module.split(".")[0] for module in imported(path)}
        assert not {"absl", "argparse"} & modules, path


def test_import_needs_only_the_base_dependencies(tmp_path):
    code = """
import sys
for name in (
    "pandas", "scipy", "sklearn", "bokeh", "matplotlib", "segno",
    "ai_edge_litert", "litert_quantizer", "tensorflow_datasets", "tensorboard",
):
    sys.modules[name] = None
import keras_resizable
for name in keras_resizable.__all__:
    getattr(keras_resizable, name)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_the_workshop_is_imported_as_keras_users_do():
    code = "from keras_resizable.runs import Run; import keras_resizable.photos as p; "
    code += "import keras_resizable; assert Run is keras_resizable.runs.Run; p.Job"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_extra_is_named():
    with pytest.raises(ImportError, match=r"needs no_such.*keras-resizable\[search\]"):
        import_extra("no_such.module", "search")


def test_public_names_are_there_and_documented():
    for name in keras_resizable.__all__:
        assert getattr(keras_resizable, name).__doc__, name


def test_every_package_is_installed_and_every_extra_of_users_is_in_all():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in LIBRARY.rglob("__init__.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == packages
    extras = project["project"]["optional-dependencies"]
    listed = re.fullmatch(r"keras-resizable\[(.*)\]", extras.pop("all")[0])
    assert listed is not None and set(listed[1].split(",")) == set(extras) - {"dev"}


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


def test_every_module_says_what_it_is_for():
    for path in [*LIBRARY.rglob("*.py"), *SCRIPTS]:
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_public_names_are_listed_and_internal_ones_are_not():
    assert dir(keras_resizable) == sorted(keras_resizable.__all__)
    assert "utils" not in keras_resizable.__all__
    for name in keras_resizable.__all__:
        public = getattr(keras_resizable, name)
        if isinstance(public, types.ModuleType):
            assert set(public.__all__) <= set(dir(public)), name
            for inner in public.__all__:
                thing = getattr(public, inner)
                assert not callable(thing) or thing.__doc__, (name, inner)


def test_options_are_given_by_name():
    """Calls read without the signature at hand: few arguments go by place."""
    too_many = {}
    for name in keras_resizable.__all__:
        public = getattr(keras_resizable, name)
        inner = getattr(public, "__all__", ()) if inspect.ismodule(public) else ()
        for thing in [public, *(getattr(public, other) for other in inner)]:
            if (
                not callable(thing)
                or inspect.isclass(thing)
                and issubclass(thing, (keras.Layer, tuple, Exception))
            ):
                continue  # As in Keras; named tuples and errors.
            by_place = [
                parameter.name
                for parameter in inspect.signature(thing).parameters.values()
                if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
            ]
            if len(by_place) > 4:
                too_many[thing.__qualname__] = by_place
    assert not too_many


@pytest.mark.skipif(
    "site-packages" not in keras_resizable.__file__, reason="It is installed editable"
)
def test_what_is_tested_is_what_is_installed():
    code = "import sys, keras_resizable; print(keras_resizable.__file__)"
    result = processes.run("-c", code, folder=ROOT / "tests")
    assert result.stdout.strip() == keras_resizable.__file__
    for path in LIBRARY.rglob("*.py"):
        installed = pathlib.Path(keras_resizable.__file__).parent
        assert (installed / path.relative_to(LIBRARY)).read_bytes() == path.read_bytes()
