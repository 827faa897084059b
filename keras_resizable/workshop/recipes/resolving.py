"""Finding a recipe by name, and replacing values."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from keras_resizable.space import ConfigLike
from keras_resizable.utils.arguments import one_of
from keras_resizable.utils.files import reading
from keras_resizable.workshop.recipes.known import RECIPES
from keras_resizable.workshop.recipes.recipe import MODES, Recipe


def resolve(
    name: str | os.PathLike[str] | Recipe,
    mode: str = "resizable",
    overrides: Mapping[str, Any] | None = None,
) -> Recipe:
    """Finds a recipe and replaces some of its values.

    Args:
        name: Name of a recipe, the path of a run's `recipe.json`, or a `Recipe`.
        mode: One of `MODES`.
        overrides: New values by field; text is converted.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: If a name, key or value is not valid.

    Example:

    >>> from keras_resizable import recipes
    >>> recipes.resolve("resnet50", "individual").epochs
    100
    """
    one_of("mode", mode, MODES)
    name = name if isinstance(name, Recipe) else os.fspath(name)
    if isinstance(name, Recipe):
        values = dataclasses.asdict(name)
    elif is_run(name):
        values = dict(read_run(name)["recipe"])
    else:
        values = dataclasses.asdict(RECIPES[one_of("recipe", name, RECIPES)][mode])
    return Recipe(**{**values, **(overrides or {})})


def resolve_run(
    name: str | Recipe,
    mode: str | None = None,
    config: ConfigLike | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> tuple[Recipe, str, tuple[float, ...] | None]:
    """The recipe, mode and target to train; for a run's `recipe.json`, the run's."""
    of_run = not isinstance(name, Recipe) and is_run(name)
    run = read_run(str(name)) if of_run else {}
    mode = mode or run.get("mode", "resizable")
    config = run.get("config") if config is None else config
    return resolve(name, mode, overrides), mode, read_config(config)


def read_config(config: ConfigLike | None) -> tuple[float, ...] | None:
    """Scale factors of a target whose space is not known yet."""
    if config is None:
        return None
    parts = config.split(",") if isinstance(config, str) else config
    return tuple(float(str(part)) for part in parts if part != "")


def is_run(name: str) -> bool:
    """Whether a recipe's name is the path of a run's `recipe.json`."""
    return name.endswith(".json")


def read_run(path: str | os.PathLike) -> dict[str, Any]:
    """The contents of a run's `recipe.json`: `recipe`, `mode` and `config`."""
    with reading(path):
        contents = json.loads(pathlib.Path(path).read_text())
        return {"recipe": contents["recipe"], "mode": contents["mode"], **contents}
