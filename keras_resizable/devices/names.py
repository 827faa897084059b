"""Cleaning text from users, devices and files for paths, commands and terminals."""

import re

_NAME = re.compile(r"\w[\w .+()-]{0,49}")


def check_name(name: str) -> None:
    """Raises unless a device's name can be part of a file name and a column name."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            "A device's name has at most 50 letters, digits, spaces and . _ + - ( ), "
            f"a letter or digit first. Received: {name!r}"
        )


def clean_name(text: str) -> str:
    """A valid name from the text that a device reports; empty if nothing is left."""
    return re.sub(r"[^\w.+()-]+", "_", text).lstrip("_.+()-")[:50]


def printable(text: str, keep: str = "") -> str:
    """Text without the characters that a terminal acts on, but for those in `keep`."""
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)
