"""Checks of arguments, with uniform messages."""

import numbers
import os
import pathlib
from collections.abc import Collection
from typing import Any


def one_of(name: str, value: Any, choices: Collection[Any]) -> Any:
    """The value; `ValueError` if it is not one of the choices."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={value!r}"
        )
    return value


def number(
    name: str,
    value: Any,
    least: float | None = None,
    most: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    kind: type = numbers.Real,
) -> Any:
    """The value; `ValueError` if it is not a number within these limits."""
    is_of_kind = isinstance(value, kind) and not isinstance(value, bool)
    if not (
        is_of_kind
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    ):
        limits = {"of at least": least, "of at most": most}
        if least is not None and most is not None:
            limits = {f"from {least} to": most}
        limits |= {"above": above, "below": below}
        wanted = [f" {text} {x}" for text, x in limits.items() if x is not None]
        what = "an integer" if kind is numbers.Integral else "a number"
        raise ValueError(
            f"`{name}` must be {what}{' and'.join(wanted)}. Received: {name}={value!r}"
        )
    return value


def integer(
    name: str,
    value: Any,
    least: int | None = None,
    most: int | None = None,
    *,
    below: int | None = None,
) -> Any:
    """The value; `ValueError` if it is not an integer within these limits."""
    return number(name, value, least, most, below=below, kind=numbers.Integral)


def with_suffix(path: str | os.PathLike, suffix: str) -> pathlib.Path:
    """The path; `ValueError` if it has another suffix."""
    path = pathlib.Path(path)
    if path.suffix != suffix:
        raise ValueError(f"The file's name must end with {suffix}. Received: {path}")
    return path
