"""What is said of errors that others raise."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type's name if it has none."""
    # Keras shows a whole configuration before it says what is wrong with it.
    reason = str(error).rpartition("Exception encountered: ")[2]
    lines = reason.strip().splitlines()
    return lines[0] if lines else type(error).__name__
