"""Compares two sub-networks, of one run or two, on the same test images.

    keras-resizable compare runs/latest:1.0,1.0,1.0 runs/latest:0.5,0.5,0.5
    keras-resizable compare runs/latest runs/20260101-120000-resnet20

Reads the table.npz that `keras-resizable search` and `finetune` write. Without a name
after the colon it uses the last sub-network in the file; scale factors omitted at the
end are the largest.
"""

from keras_resizable.search import PairedTest
from keras_resizable.workshop.commands.command_line import say
from keras_resizable.workshop.runs import Run


def read(argument):
    """The table of `folder` or `folder:name`, and the row of the sub-network."""
    folder, _, name = argument.partition(":")
    table = Run(folder).table()
    return table, table[name or table.configs[-1]]


def main(argv):
    if len(argv) != 3:
        raise ValueError(f"Give two sub-networks. Received: {argv[1:]}. See --help.")
    (one, _), (two, _) = results = [read(argument) for argument in argv[1:]]
    one.require_images(two.origin.get("data"), two.num_images)
    for argument, (_, row) in zip(argv[1:], results):
        low, high = 100 * row["top1_low"], 100 * row["top1_high"]
        say(
            f"{100 * row['top1']:6.2f} %  (95 %: {low:.2f} to {high:.2f})"
            f"  {argument.partition(':')[0]}:{row['config']}"
        )
    rights = (table.right(row["config"]) for table, row in results)
    say(f"difference {PairedTest.of(*rights)} (exact McNemar)")
