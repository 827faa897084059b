"""Finding a recipe by its name, and replacing its values."""

import dataclasses
import json
import os
import pathlib
import types
import typing
from collections.abc import Mapping
from typing import Any

from keras_resizable.recipes.known import RECIPES
from keras_resizable.recipes.recipe import FIELDS, MODES, Recipe, checked
from keras_resizable.space import ConfigLike


def resolve(
    name: str | os.PathLike[str] | Recipe,
    mode: str = "resizable",
    overrides: Mapping[str, Any] | None = None,
) -> Recipe:
    """A recipe with some of its values replaced.

    Args:
        name: Name of a recipe, the path of a run's `recipe.json`, or a `Recipe`.
        mode: One of `MODES`.
        overrides: Values by field, as text or as they are.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: If a name, key or value is not valid.

    Example:

    >>> from keras_resizable import recipes
    >>> recipes.resolve("resnet50", "individual").epochs
    100
    """
    if mode not in MODES:
        raise ValueError(f"A mode is one of {MODES}. Received: {mode!r}")
    name = name if isinstance(name, Recipe) else os.fspath(name)
    if isinstance(name, Recipe):
        values = dataclasses.asdict(name)
    elif is_run(name):
        values = dict(read_run(name)["recipe"])
    elif name in RECIPES:
        values = dataclasses.asdict(RECIPES[name][mode])
    else:
        raise ValueError(
            f"There is no recipe {name!r}. The recipes are: {', '.join(RECIPES)}."
        )
    values |= overrides or {}
    for key in values:
        if key not in FIELDS:
            raise ValueError(
                f"A recipe has no {key!r}. It has: {', '.join(sorted(FIELDS))}."
            )
    recipe = Recipe(
        **{key: _parse(FIELDS[key], value) for key, value in values.items()}
    )
    return checked(recipe)


def resolve_run(
    name: str | Recipe,
    mode: str | None = None,
    config: ConfigLike | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> tuple[Recipe, str, tuple[float, ...] | None]:
    """The recipe, mode and target to train by; those of a run if it is one's.

    Args:
        name: As `resolve` has it.
        mode: One of `MODES`; that of the run, or `"resizable"`, if absent.
        config: The target; that of the run, if any, if absent.
        overrides: As `resolve` has it.

    Raises:
        ValueError: If a name, key or value is not valid.
    """
    of_run = not isinstance(name, Recipe) and is_run(name)
    run = read_run(str(name)) if of_run else {}
    mode = mode or run.get("mode", "resizable")
    config = run.get("config") if config is None else config
    return resolve(name, mode, overrides), mode, read_config(config)


def read_config(config: ConfigLike | None) -> tuple[float, ...] | None:
    """Scale factors of a target, for a space that is not known yet.

    Args:
        config: Numbers, or numbers between commas; None for no target.

    Raises:
        ValueError: If it is something else.
    """
    if config is None:
        return None
    if isinstance(config, str):
        return numbers("config", config)
    return tuple(float(str(scale)) for scale in config)


def is_run(name: str) -> bool:
    """Whether a recipe's name is the path of a run's `recipe.json`."""
    return name.endswith(".json")


def read_run(path: str | os.PathLike) -> dict[str, Any]:
    """What the `recipe.json` of a run holds: `recipe`, `mode`, `config`.

    Raises:
        ValueError: If it is something else.
    """
    try:
        contents = json.loads(pathlib.Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(contents, dict) or not contents.keys() >= {"recipe", "mode"}:
        raise ValueError(f"{path} is not the recipe.json of a run.")
    return contents


def numbers(name: str, text: str) -> tuple[float, ...]:
    """Numbers between commas; `name` is for the error."""
    return tuple(_as(name, float, part) for part in text.split(",") if part != "")


def _parse(field, value):
    kind = typing.get_type_hints(Recipe)[field.name]
    if isinstance(kind, types.UnionType):
        if value in (None, "None"):
            return None
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is tuple:
        if isinstance(value, str):
            return numbers(field.name, value)
        if isinstance(value, (int, float)):
            value = (value,)
        return tuple(_as(field.name, typing.get_args(kind)[0], part) for part in value)
    return _as(field.name, kind, value)


def _as(name, kind, value):
    if kind is bool:
        texts = {"true": True, "false": False, "1": True, "0": False}
        if str(value).lower() in texts:
            return texts[str(value).lower()]
    else:
        try:
            read = kind(value)
            if kind is not int or isinstance(value, str) or read == value:
                return read
        except (TypeError, ValueError):
            pass
    raise ValueError(f"{name} is of type {kind.__name__}. Received: {value!r}")
