"""Classifies photos with a .tflite file.

    keras-resizable predict --file=mine_int8.tflite photo.jpg another.jpg
    keras-resizable predict --file=mine_int8.tflite --csv=answers.csv photos/

Prints the answer for each of a few photos, or how often each class was answered, and
writes all answers to a CSV file. If the photos are in folders named like the classes,
it prints how many answers are right. The file must have labels, as `photos` writes it.
"""

from absl import flags

from keras_resizable.export.flatbuffer import metadata_of_signature
from keras_resizable.workshop import photos
from keras_resizable.workshop.commands.command_line import say
from keras_resizable.workshop.photos.predicting import UNKNOWN, share_right

FLAGS = flags.FLAGS
flags.DEFINE_string("file", None, "Path of the .tflite file.", required=True)
flags.DEFINE_string("signature", None, "Signature of a bundle; the first if absent.")
flags.DEFINE_float(
    "min_confidence", None, "Below this the answer is unknown; in the file if absent."
)
flags.DEFINE_string("csv", None, "Path of a CSV file for all answers.")
_MOST_PRINTED = 20


def main(argv):
    if not argv[1:]:
        raise ValueError("Name photos, or folders of them, after the flags.")
    answers = photos.predict(
        FLAGS.file,
        argv[1:],
        signature=FLAGS.signature,
        min_confidence=FLAGS.min_confidence,
    )
    labels = metadata_of_signature(FLAGS.file, FLAGS.signature)["labels"]
    if len(answers) <= _MOST_PRINTED:
        for photo, answer, confidence in answers.itertuples(index=False):
            say(f"{photo}: {answer} ({100 * confidence:.0f} %)")
    else:
        counts = answers["answer"].value_counts()
        for label in (*labels, UNKNOWN):
            if label in counts:
                say(f"{counts[label]:6,}  {label}")
    right = share_right(answers, labels)
    if right is not None:
        unknown = (answers["answer"] == UNKNOWN).mean()
        say(
            f"Of {len(answers):,} photos {100 * right:.1f} % right, "
            f"{100 * unknown:.1f} % unknown, by the names of their folders"
        )
    if FLAGS.csv is not None:
        answers.to_csv(FLAGS.csv, index=False)
        say(f"Wrote {FLAGS.csv}")
