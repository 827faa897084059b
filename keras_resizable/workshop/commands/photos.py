"""From a folder of photos to files for the phone.

    keras-resizable photos --images=photos/ --max_latency_ms=15
    keras-resizable photos --images=photos/ --model=EfficientNetB0 --max_flops=1e8
    keras-resizable photos --images=photos/ --model=mine.keras --input_range=0,255
    keras-resizable photos --images=unlabelled/ --model=mine.keras
    keras-resizable photos --images=photos/ --device=android --max_latency_ms=15
    keras-resizable photos --images=photos/ --device=browser --host=0.0.0.0
    keras-resizable photos --images=photos/ --dry_run

The folder must have a folder of photos for each class, or a CSV file lists them. A
Keras model is trained for these classes and converted to a resizable network. Photos
without labels: a network converted from your own trained model learns its answers.
Writes int8 files of its best sub-network within the limits, of a bundle of up to three,
and of the whole model, programs that run the chosen one, and report.html: accuracy on
held-out test photos by class, mistakes, and what may be wrong with the photos. The same
command resumes an interrupted job.
"""

import dataclasses
import shlex

from absl import flags

from keras_resizable import devices
from keras_resizable.workshop import photos
from keras_resizable.workshop.commands.command_line import refuse_arguments, say
from keras_resizable.workshop.photos.job import FIELDS
from keras_resizable.workshop.photos.phone_files import score_of_files

FLAGS = flags.FLAGS
_MOST_CLASSES = 20  # To print.


def _as_text(value):
    """A value as text, as in `Job`."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return None if value is None else str(value)


for _field in dataclasses.fields(photos.Job):
    _is_required = _field.default is dataclasses.MISSING
    flags.DEFINE_string(
        _field.name,
        None if _is_required else _as_text(_field.default),
        FIELDS[_field.name],
        required=_is_required,
    )
flags.DEFINE_enum("device", "host", ["host", "android", "browser"], "Where to measure.")
flags.DEFINE_string("serial", None, "Android: serial number, if there are several.")
flags.DEFINE_string("benchmark_binary", None, "Android: path of benchmark_model.")
flags.DEFINE_string("host", "127.0.0.1", "Browser: address to serve the page on.")
flags.DEFINE_bool("dry_run", False, "Only print what would be done, and for how long.")
flags.DEFINE_bool("new_run", False, "Start again, even if there is a job to resume.")
flags.DEFINE_string("runs_dir", "runs", "Folder of all runs.")


def make_job():
    """The job of the flags."""
    values = {name: FLAGS[name].value for name in FIELDS}
    return photos.Job(**{k: v for k, v in values.items() if v is not None})


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
    """Prints what would be done."""
    say("Reading the photos, and timing a few steps")
    found = photos.estimate(job, root=FLAGS.runs_dir)
    say(f"classes        {len(found.classes)}: training, validation, test photos")
    for name, numbers in list(found.by_class.items())[:_MOST_CLASSES]:
        say(f"  {name:24} {'  '.join(f'{number:6,}' for number in numbers)}")
    if len(found.classes) > _MOST_CLASSES:
        say("  ...")
    say(
        f"photos         {found.num_train:,} training, {found.num_validation:,} "
        f"validation, {found.num_test:,} test"
    )
    say(f"size           {' x '.join(map(str, found.image_shape))}")
    say(f"sub-networks   {found.num_sub_networks:,}")
    if found.note:
        say(found.note)
    least, most = (flops / 1e6 for flops in found.flops)
    say(f"FLOPs          {least:,.1f} to {most:,.1f} million multiply-adds")
    for part, seconds in found.seconds.items():
        of_steps = f", at most {found.steps[part]:,} steps"
        say(f"{part:14} about {seconds / 60:.1f} minutes{of_steps}")
    say(
        f"training       about {sum(found.seconds.values()) / 60:.0f} minutes in all; "
        "evaluating sub-networks and writing files take more time"
    )
    if found.folder is not None and not FLAGS.new_run:
        say(f"resumes        {found.folder}, which keeps what is done")


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
    score = score_of_files(result.files)
    title = "Top-1" if score == "top1" else f"Agreement with {job.model}"
    say(f"\n{title} on the test photos, latency on {device.name}:\n")
    width = max(len(row["file"]) for row in result.files.to_dict("records"))
    say(
        f"{'file':{width}}           (95 %)   M FLOPs   latency      size   sub-network"
    )
    for row in result.files.to_dict("records"):
        latency = row[f"latency_ms_{device.name}"]
        say(
            f"{row['file']:{width}} {100 * row[score]:5.1f} % "
            f"({100 * row[f'{score}_low']:.0f} to {100 * row[f'{score}_high']:.0f}) "
            f"{row['flops'] / 1e6:9.1f} {latency:6.2f} ms "
            f"{row['size_bytes'] / 1e6:6.2f} MB   {row['config'] or 'the whole model'}"
        )
    if FLAGS.io == "uint8":
        say("\nThe files take the pixels of RGB images, from 0 to 255.")
    else:
        say("\nThe files take pixels from -1 to 1, whatever the model took.")
    if FLAGS.io == "int8":
        say("As int8 these are round(pixel / scale + zero_point), both in the file.")
    for note in result.notes:
        say(note)
    folder, chosen = result.folder, result.files["file"][0]
    say(f"\nOpen {folder}/report.html: each class, mistakes, and the photos.")
    say(f"Take {folder}/{chosen} and labels.txt.")
    say(f"Programs that run it are in {folder}/app. Try it:")
    file = shlex.quote(f"{folder}/{chosen}")
    say(f"  keras-resizable predict --file={file} photo.jpg")
