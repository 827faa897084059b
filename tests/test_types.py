import importlib
import inspect
import pathlib
import pkgutil

import keras
import pytest

import keras_resizable

MODULES = [
    module.name
    for module in pkgutil.walk_packages(keras_resizable.__path__, "keras_resizable.")
    if ".commands." not in module.name  # Their flags would clash.
]
# Keras calls these, and says what they take.
OF_KERAS = {"build", "call", "get_config", "from_config"}
# Of the other methods with underscores, nobody writes a call.
CALLED = {"__init__", "__call__", "__enter__", "__exit__"}


def is_ours(thing):
    return getattr(thing, "__module__", "").startswith("keras_resizable.")


def unwrapped(member):
    """The function behind what a class has under a name; None if there is none."""
    if isinstance(member, property):
        return member.fget
    function = getattr(member, "func", member)  # Of a `functools.cached_property`.
    function = inspect.unwrap(getattr(function, "__func__", function))
    return function if inspect.isfunction(function) else None


def methods_of(kind):
    """The public methods of a class by name, with those of private bases of ours."""
    for name in dir(kind):
        is_callback = issubclass(kind, keras.callbacks.Callback)
        if name in OF_KERAS or (is_callback and name.startswith("on_")):
            continue
        if name.startswith("_") and name not in CALLED:
            continue
        function = unwrapped(inspect.getattr_static(kind, name))
        if function is not None and is_ours(function):
            yield name, function


def public_functions(module):
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(thing):
            for method, function in methods_of(thing):
                yield f"{name}.{method}", function, method
        elif unwrapped(thing) is not None:
            yield name, unwrapped(thing), None


def without_types(function, method):
    """Names of the arguments, and "return", that have no annotation."""
    signature = inspect.signature(function)
    names = list(signature.parameters)
    if method is not None and names[:1] in (["self"], ["cls"]):
        names = names[1:]
    empty = inspect.Parameter.empty
    untyped = [n for n in names if signature.parameters[n].annotation is empty]
    return untyped + ["return"] * (signature.return_annotation is empty)


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_are_annotated(module):
    untyped = {
        name: without_types(function, method)
        for name, function, method in public_functions(importlib.import_module(module))
    }
    assert not {name: missing for name, missing in untyped.items() if missing}


def test_functions_are_found_wherever_they_are():
    found = {
        name
        for module in MODULES
        for name, *_ in public_functions(importlib.import_module(module))
    }
    assert found >= {
        "FairSampler.__init__",  # Of a private base.
        "FairSampler.__call__",
        "ResizableNetwork.classifier",  # A cached property.
        "ResizableNetwork.config",  # A property.
        "ResizableNetwork.test_step",  # Of the mixin.
        "Scores.none",  # A class method.
        "averaged",  # A context manager.
        "calibrate",
    }


def test_type_checkers_see_the_annotations():
    # PEP 561: without this file they take the library for one without types.
    assert pathlib.Path(keras_resizable.__file__).with_name("py.typed").is_file()
