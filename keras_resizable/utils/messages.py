"""What is said of errors that others raise."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type's name if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
