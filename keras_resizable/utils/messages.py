"""Shortening the messages of Keras, pydantic and user-defined layers."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pydantic


def first_line(error: BaseException) -> str:
    """The reason of an error in one line, or the name of its type."""
    # Keras prints whole configurations before and after the reason.
    reason = str(error).rpartition("Exception encountered: ")[2]
    reason = reason.partition(" Full object config: ")[0]
    # An error in a layer's call has a heading, followed by the reason in bold.
    _, heading, rest = reason.rpartition("Exception encountered when calling ")
    if heading:
        reason = rest.partition("\n")[2]
    lines = re.sub(r"\x1b\[\d*m", "", reason).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def in_one_line(error: "pydantic.ValidationError") -> str:
    """pydantic's message about invalid values, without its headings."""
    parts = []
    for found in error.errors():
        name = ".".join(map(str, found["loc"]))
        reason = found["msg"].removeprefix("Value error, ")
        if name:
            reason = f"{name}: {reason}. Received: {found['input']!r}"
        parts.append(reason)
    return " ".join(parts)
