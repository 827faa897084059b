"""From a folder of photos to files for the phone.

    keras-resizable photos --images=photos/ --max_latency_ms=15
    keras-resizable photos --images=photos/ --model=EfficientNetB0 --max_flops=1e8
    keras-resizable photos --images=photos/ --model=mine.keras --input_range=0,255
    keras-resizable photos --images=photos/ --device=android --max_latency_ms=15
    keras-resizable photos --images=photos/ --device=browser --host=0.0.0.0 --io=float32
    keras-resizable photos --images=photos/ --dry_run

The folder has a folder of photos for each class. A model of Keras is trained for them,
becomes a resizable network, and the best of its sub-networks within the limits an int8
file, beside a bundle of three. Prints what these files are worth on test photos, which
nothing was chosen with; report.html in the run's folder has it, too. The same command
goes on where it was interrupted.
"""

import dataclasses
from typing import Any

from absl import flags

from keras_resizable import devices, photos
from keras_resizable.commands.running import refuse_arguments

FLAGS = flags.FLAGS
flags.DEFINE_string("images", None, "Folder of photos by class.", required=True)
flags.DEFINE_string(
    "model",
    "MobileNetV3Small",
    "A name of keras.applications, a .keras file, or a network of this library.",
)
flags.DEFINE_string("weights", "imagenet", "imagenet, none, or a .weights.h5 file.")
flags.DEFINE_list(
    "input_range",
    None,
    "What pixels of 0 and 255 are to a .keras model; if absent, 0,255 if it begins "
    "with a Rescaling layer, else -1,1. Files take -1 to 1.",
)
flags.DEFINE_list("scales", ["1.0", "0.75", "0.5"], "Scale factors.")
flags.DEFINE_integer(
    "image_size", None, "Height and width; that of the .keras file or 224 if absent.", 1
)
flags.DEFINE_float("max_latency_ms", None, "Maximum milliseconds on the device.")
flags.DEFINE_float("max_flops", None, "Maximum multiply-adds.")
flags.DEFINE_float("min_top1", None, "Minimum accuracy, from 0 to 1.")
flags.DEFINE_enum(
    "device", "host", ["host", "android", "browser"], "What to measure on."
)
flags.DEFINE_string("serial", None, "Android: serial number, if there are several.")
flags.DEFINE_string("benchmark_binary", None, "Android: path of benchmark_model.")
flags.DEFINE_string("host", "127.0.0.1", "Browser: address to serve the page on.")
flags.DEFINE_enum("io", "int8", ["int8", "float32"], "What int8 files take and return.")
flags.DEFINE_float("max_loss", 0.02, "Accuracy that int8 may lose.", 0.0)
flags.DEFINE_integer("head_epochs", None, "Passes that train the classifier alone.", 0)
flags.DEFINE_integer("epochs", None, "Passes that train the model, at most.", 1)
flags.DEFINE_integer("resizable_epochs", None, "Passes of the resizable network.", 1)
flags.DEFINE_integer("tuning_epochs", None, "Passes of the chosen sub-network.", 1)
flags.DEFINE_float("validation", 0.15, "Share of each class for validation.")
flags.DEFINE_integer("seed", 0, "Seed.")
flags.DEFINE_bool("dry_run", False, "Only say what would be done, and how long.")
flags.DEFINE_bool(
    "new_run", False, "Begin anew: else what was begun or trained goes on."
)
flags.DEFINE_string("runs_dir", "runs", "Folder of all runs.")


def make_job():
    """The job of the flags."""
    values: dict[str, Any] = {
        field.name: FLAGS[field.name].value for field in dataclasses.fields(photos.Job)
    }
    if values["weights"] == "none":
        values["weights"] = None
    for name in ("input_range", "scales"):
        if values[name] is None:
            continue
        try:
            values[name] = tuple(map(float, values[name]))
        except ValueError as error:
            raise ValueError(f"--{name} is numbers between commas: {error}") from error
    return photos.Job(**values)


def open_device():
    """The device of the flags."""
    if FLAGS.device == "android":
        return devices.Android(
            None, FLAGS.serial, benchmark_binary=FLAGS.benchmark_binary
        )
    if FLAGS.device == "browser":
        return devices.Browser(host=FLAGS.host)
    return devices.Host()


def print_estimate(job):
    """What would be done."""
    print("Reading the photos, and timing a few steps", flush=True)
    found = photos.estimate(job, root=FLAGS.runs_dir)
    names = ", ".join(found.classes[:5]) + (", ..." if len(found.classes) > 5 else "")
    print(f"classes        {len(found.classes)}: {names}")
    print(
        f"photos         {found.num_train:,} to train, {found.num_validation:,} to "
        f"choose, {found.num_test:,} to test"
    )
    print(f"size           {' x '.join(map(str, found.image_shape))}")
    print(f"sub-networks   {found.num_sub_networks:,}")
    least, most = (flops / 1e6 for flops in found.flops)
    print(f"FLOPs          {least:,.1f} to {most:,.1f} million multiply-adds")
    for part, seconds in found.seconds.items():
        of_steps = f", at most {found.steps[part]:,} steps"
        print(f"{part:14} about {seconds / 60:.1f} minutes{of_steps}")
    print(
        f"training       about {sum(found.seconds.values()) / 60:.0f} minutes in all; "
        "evaluating sub-networks and writing files comes on top"
    )
    if found.folder is not None and not FLAGS.new_run:
        print(f"goes on in     {found.folder}, what is done there is kept")


def main(argv):
    refuse_arguments(argv)
    job = make_job()
    if FLAGS.device == "browser":
        job.check_for_browser()  # Before a page is opened.
    if FLAGS.dry_run:
        print_estimate(job)
        return
    with open_device() as device:
        result = photos.to_phone(
            job, device=device, root=FLAGS.runs_dir, new=FLAGS.new_run
        )
    print(f"\nTop-1 on the test photos, latency on {device.name}:\n")
    width = max(len(row["file"]) for row in result.files.to_dict("records"))
    print(
        f"{'file':{width}}   top-1   (95 %)   M FLOPs   latency      size   sub-network"
    )
    for row in result.files.to_dict("records"):
        latency = row[f"latency_ms_{device.name}"]
        print(
            f"{row['file']:{width}} {100 * row['top1']:5.1f} % "
            f"({100 * row['top1_low']:.0f} to {100 * row['top1_high']:.0f}) "
            f"{row['flops'] / 1e6:9.1f} {latency:6.2f} ms "
            f"{row['size_bytes'] / 1e6:6.2f} MB   {row['config'] or 'the whole model'}"
        )
    print("\nThe files take pixels from -1 to 1, whatever the model took.")
    if FLAGS.io == "int8":
        print("As int8 these are round(pixel / scale + zero_point), both in the file.")
    for note in result.notes:
        print(note)
    print(
        f"\nWrote {result.folder}: the .tflite files, labels.txt with the names of "
        "their classes in order, report.html and files.csv"
    )
