"""Text that comes from users, devices and files: none of it is a path or a command."""

import re

_NAME = re.compile(r"\w[\w .+()-]{0,49}")


def check_name(name: str) -> None:
    """Refuses a device's name that could not be part of a file's name and a column's.

    Raises:
        ValueError: If it has other characters, or too many.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            "A device's name has at most 50 letters, digits, spaces and . _ + - ( ), "
            f"a letter or digit first. Received: {name!r}"
        )


def clean_name(text: str) -> str:
    """What a device says that it is called, as a name; empty if nothing is left."""
    return re.sub(r"[^\w.+()-]+", "_", text).lstrip("_.+()-")[:50]


def printable(text: str, keep: str = "") -> str:
    """Text without the characters that a terminal acts on.

    Args:
        text: The text.
        keep: Those to keep.
    """
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)
