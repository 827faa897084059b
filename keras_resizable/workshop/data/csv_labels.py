"""Labels of images in a CSV file."""

import csv
import pathlib

from keras_resizable.workshop.data.image_files import is_named_as_image


def read_csv(path: pathlib.Path) -> dict[pathlib.Path, str]:
    """The labels in a CSV file, by the path of the image; see `load_csv`."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path.absolute()}.")
    rows = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for row in reader:
                if any(row):
                    rows.append((reader.line_num, [cell.strip() for cell in row]))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8: {error}.") from error
    if rows and not is_named_as_image(rows[0][1][0]):
        del rows[0]  # Names of columns.
    labels: dict[pathlib.Path, str] = {}
    for line, row in rows:
        if len(row) < 2 or not row[0] or not row[1]:
            raise ValueError(
                f"Line {line} of {path} needs the path of an image and its label, "
                f"separated by a comma. Received: {','.join(row)!r}"
            )
        image = path.parent / row[0]
        if not image.is_file():
            raise FileNotFoundError(f"Line {line} of {path}: there is no {image}.")
        if labels.setdefault(image, row[1]) != row[1]:
            raise ValueError(
                f"{path} has two labels for {row[0]!r}: "
                f"{labels[image]!r} and {row[1]!r}."
            )
    if not labels:
        raise ValueError(
            f"{path} lists no images: each line needs the path of an image and a label."
        )
    return labels
