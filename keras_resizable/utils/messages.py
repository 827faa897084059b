"""What is said of errors that others raise."""

import re


def first_line(error: BaseException) -> str:
    """The reason that an error gives, in one line; its type's name if there is none."""
    # Keras shows a whole configuration before the reason, and one after it.
    reason = str(error).rpartition("Exception encountered: ")[2]
    reason = reason.partition(" Full object config: ")[0]
    # An error in a layer's call has a heading, and then the reason in bold.
    _, heading, rest = reason.rpartition("Exception encountered when calling ")
    if heading:
        reason = rest.partition("\n")[2]
    lines = re.sub(r"\x1b\[\d*m", "", reason).strip().splitlines()
    return lines[0] if lines else type(error).__name__
