"""The report of a job for a person, `report.html`, and `card.md` for its readers."""

import json
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing
from keras_resizable.workshop.data.preprocessing import CENTER
from keras_resizable.workshop.photos.findings import (
    Answers,
    Findings,
    as_json,
)
from keras_resizable.workshop.photos.material import Material
from keras_resizable.workshop.photos.phone_files import score_of_files
from keras_resizable.workshop.photos.photo_problems import SPLITS, PhotoProblems
from keras_resizable.workshop.photos.pictures import thumbnails, training_images
from keras_resizable.workshop.recipes.building import (
    has_center_crop,
    steps_of_epoch,
)

if TYPE_CHECKING:
    import pandas

REPORT, CARD = "report.html", "card.md"
FINDINGS = "findings.json"
_TEMPLATES = pathlib.Path(__file__).parent
_MOST_SHOWN = 48
_CLEAR_GAIN = 0.01


def write_job_report(
    folder: pathlib.Path,
    material: Material,
    files: "pandas.DataFrame",
    device: str,
    notes: Iterable[str],
    findings: Findings | None,
    test: Answers | None,
    problems: PhotoProblems,
) -> None:
    """Writes `report.html`, `card.md` and `more/findings.json`.

    Args:
        folder: The folder to write to.
        material: The photos and the model.
        files: The table of files, the chosen one first.
        device: Name of the device they were measured on.
        notes: Warnings about the chosen file.
        findings: Of the chosen file; None without labels.
        test: Its answers for the test photos; None without labels.
        problems: What may be wrong with the photos.
    """
    values = _values(material, files, device, list(notes), findings, problems)
    values |= _pictures(material, findings, test)
    jinja2 = import_extra("jinja2", "search")
    for name, is_html in ((REPORT, True), (CARD, False)):
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=is_html,
            undefined=jinja2.StrictUndefined,
        )
        environment.filters["percent"] = lambda share: f"{100 * share:.0f} %"
        text = environment.get_template(f"{name}.jinja").render(values)
        with replacing(folder / name) as path:
            path.write_text(text + "\n", encoding="utf-8")
    if findings is not None:
        with replacing(folder / "more" / FINDINGS) as path:
            path.write_text(json.dumps(as_json(findings), indent=1) + "\n")


def _values(material, files, device, notes, findings, problems):
    """What both templates show, without pictures."""
    job, chosen = material.job, files.iloc[0]
    score, latency = score_of_files(files), f"latency_ms_{device}"
    what = "right" if score == "top1" else f"agree with {job.name}"
    height, width, channels = material.shape
    num_photos = sum(getattr(material.photos, split).num_images for split in SPLITS)
    advice = ""
    if problems.more_photos:
        (_, half), (_, full) = problems.more_photos[-2:]
        advice = "More photos like these would add little."
        if full - half > _CLEAR_GAIN:
            advice = (
                f"Twice as many photos may add about {100 * (full - half):.0f} points."
            )
    model = pathlib.Path(job.model).name
    crop = CENTER if has_center_crop(material.recipe) else None
    return {
        "title": job.title,
        "subtitle": (
            f"{model} at {height} x {width} px, sub-network {chosen['config']}, int8; "
            f"{num_photos:,} photos of {material.classes} classes"
        ),
        "score": chosen[score],
        "interval": (chosen[f"{score}_low"], chosen[f"{score}_high"]),
        "what": what,
        "num_test": int(chosen["num_images"]),
        "latency": f"{chosen[latency]:.2f} ms",
        "device": device,
        "size": f"{chosen['size_bytes'] / 1e6:.2f} MB",
        "file": chosen["file"],
        "files": [
            {
                "file": row["file"],
                "name": row["config"] or "the whole model",
                "score": row[score],
                "low": row[f"{score}_low"],
                "high": row[f"{score}_high"],
                "flops": row["flops"],
                "latency": row[latency],
                "size": row["size_bytes"],
            }
            for row in files.to_dict("records")
        ],
        "findings": findings,
        "notes": notes,
        "problems": problems,
        "advice": advice,
        "num_unknown": _number(material.photos.unknown),
        "shown_balanced": job.balance,
        "num_photos": num_photos,
        "num_classes": material.classes,
        "photo": "gray photo" if channels == 1 else "RGB photo",
        "input_size": f"{height} x {width}",
        "crop": f", the central {100 * crop:g} % of the shorter side" if crop else "",
        "input_type": {
            "uint8": "pixels from 0 to 255 as uint8",
            "int8": "pixels from -1 to 1, quantized to int8",
            "float32": "pixels from -1 to 1 as float32",
        }[job.io],
        "how": _history(material),
    }


def _number(split):
    return 0 if split is None else split.num_images


def _history(material):
    """How the file was made, in a paragraph."""
    job, recipe = material.job, material.recipe
    start = f"{pathlib.Path(job.model).name} with random weights"
    if job.is_pretrained:
        start = f"{pathlib.Path(job.model).name} with its weights"
        if material.images.is_labelled:
            start += ", trained further on the training photos if that was better,"
    scales = ", ".join(f"{scale:g}" for scale in job.scales)
    steps = recipe.epochs * steps_of_epoch(recipe, material.images)
    return (
        f"{start} became a resizable network with the scale factors {scales}, trained "
        f"for {steps:,} steps of {recipe.batch_size} photos. Its best sub-network "
        "within the limits was chosen on the validation photos, fine-tuned if that was "
        "better, and converted to int8 by keras_resizable."
    )


def _pictures(material, findings, test):
    """The photos that the report shows, inside the page."""
    values: dict[str, Any] = {
        "seen": training_images(material),
        "mistakes": [],
        "changed": [],
        "num_mistakes": 0,
        "num_changed": 0,
    }
    if findings is None or test is None:
        return values
    split, names = material.photos.test, material.images.class_names
    changed = findings.changed[:_MOST_SHOWN]
    images = thumbnails(split, {*findings.mistakes, *changed}, material.shape[2])

    def shown(number):
        return {
            "image": images[number],
            "path": split.photos[number].path if split.photos else "",
            "label": names[test.labels[number]],
            "answer": names[test.classes[number]],
            "before": names[test.expected[number]],
            "confidence": test.confidences[number],
        }

    return values | {
        "mistakes": [shown(number) for number in findings.mistakes],
        "changed": [shown(number) for number in changed],
        "num_mistakes": int((test.classes != test.labels).sum()),
        "num_changed": len(findings.changed),
    }
