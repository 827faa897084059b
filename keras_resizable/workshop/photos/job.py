"""The settings of `to_phone`."""

import dataclasses
import os
import pathlib
from typing import Annotated, Any, Literal, Self

import keras
import pydantic
from pydantic import Field, FilePath, NonNegativeInt, PositiveInt

from keras_resizable.models import NETWORKS
from keras_resizable.search.query import Maximum, Share
from keras_resizable.space import check_scales
from keras_resizable.workshop.recipes.recipe import (
    Floats,
    Fraction,
    FromText,
    OrNone,
    descriptions_of,
)
from keras_resizable.workshop.recipes.source_models import APPLICATIONS, is_source

# The defaults: epochs, and the least number of steps.
EPOCHS = {
    "head_epochs": (5, 100),
    "epochs": (20, 500),
    "resizable_epochs": (20, 500),
    "tuning_epochs": (5, 100),
}
_FEWEST_STEPS = 20  # Of an epoch.
Path = Annotated[str, pydantic.BeforeValidator(os.fspath)]
WeightsFile = Annotated[FilePath, pydantic.AfterValidator(os.fspath)]


@pydantic.dataclasses.dataclass(
    frozen=True,
    kw_only=True,
    config={"use_attribute_docstrings": True, "extra": "forbid"},
)
class Job:
    """The settings of `to_phone`. Values may be given as text.

    Raises:
        ValueError: If a value is not valid.
    """

    images: Path
    """Folder with a folder of photos for each class, a CSV file of photos and labels,
    or the name of a TensorFlow Datasets set; see `data.load`. Photos in a folder
    _unknown belong to no class. Without test photos in the folder, 15 % of each class
    are test photos, and another 15 % validation photos. Photos without folders of
    classes have no labels: sub-networks then learn the answers of a .keras file."""
    model: Path = "MobileNetV3Small"
    """The model to start from: a name in keras.applications; a .keras file, whose
    classifier is replaced if the number of classes differs; or, with random weights, a
    network that only this library has, such as ResNet20."""
    weights: Annotated[Literal["imagenet"] | WeightsFile | None, OrNone] = "imagenet"
    """Weights of a keras.applications model: imagenet, a .weights.h5 file without the
    classifier, or None for random weights: then the resizable network is trained at
    once, without a teacher."""
    input_range: Annotated[tuple[float, float] | None, FromText] = None
    """The input values of a .keras file's model for pixels 0 and 255; by default 0,255
    if it begins with a Rescaling layer, else -1,1. The .tflite files take -1 to 1."""
    scales: Floats = (1.0, 0.75, 0.5)
    """Scale factors of the resizable network."""
    image_size: Annotated[PositiveInt | None, OrNone] = None
    """Height and width for training; by default the input size of the .keras file, or
    the photos' common size, or 224."""
    max_latency_ms: Annotated[Maximum, OrNone] = None
    """Maximum milliseconds of the float32 sub-network on the device, as the sum of its
    pieces."""
    max_flops: Annotated[Maximum, OrNone] = None
    """Maximum multiply-adds."""
    min_top1: Annotated[Share | None, OrNone] = None
    """Minimum accuracy on the validation photos, from 0 to 1; without labels, minimum
    agreement with the model."""
    io: Literal["int8", "uint8", "float32"] = "uint8"
    """Input and output type of the int8 files: uint8, int8 or float32."""
    max_loss: Fraction = 0.02
    """Accuracy that an int8 file may lose, from 0 to 1."""
    head_epochs: Annotated[NonNegativeInt | None, OrNone] = None
    """Epochs of training only the classifier; by default 5, at least 100 steps."""
    epochs: Annotated[PositiveInt | None, OrNone] = None
    """Maximum epochs of training the whole model, which stops when the accuracy on the
    validation photos no longer rises; by default 20, at least 500 steps."""
    resizable_epochs: Annotated[PositiveInt | None, OrNone] = None
    """Epochs of the resizable network; by default 20, at least 500 steps."""
    tuning_epochs: Annotated[PositiveInt | None, OrNone] = None
    """Epochs of fine-tuning the chosen sub-network; by default 5, at least 100
    steps."""
    validation: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    """Share of each class for validation, and for tests if there are no test photos."""
    balance: bool = False
    """Whether an epoch has equally many training photos of each class: those of smaller
    classes come several times."""
    seed: int = 0
    """Seed of weights and of the photos' order."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.is_application:
            is_source(APPLICATIONS + self.model)  # Raises if it does not exist.
        check_scales(self.scales)
        if self.input_range is not None and self.input_range[0] == self.input_range[1]:
            raise ValueError(f"Two values. Received: input_range={self.input_range}")
        return self

    @property
    def limits(self) -> dict[str, Any]:
        """The limits, as `Table.best` takes them."""
        names = ("max_latency_ms", "max_flops", "min_top1")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def is_application(self) -> bool:
        """Whether the model is one of `keras.applications`."""
        if self.model.endswith(".keras"):
            return False
        return hasattr(keras.applications, self.model) or self.model not in NETWORKS

    @property
    def is_pretrained(self) -> bool:
        """Whether the model has weights: then it is trained first, and teaches."""
        if self.model.endswith(".keras"):
            return True
        return self.is_application and self.weights is not None

    @property
    def title(self) -> str:
        """Its name for people: that of the folder of its photos."""
        path = pathlib.Path(self.images).expanduser().absolute()
        return path.parent.name if path.suffix.lower() == ".csv" else path.name

    def with_(self, **changes: Any) -> Self:
        """The job with other settings, such as `job.with_(max_flops=9e6)`.

        Raises:
            ValueError: If a value is not valid.
            TypeError: If there is no such setting.
        """
        return dataclasses.replace(self, **changes)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return pathlib.Path(self.model).stem.lower()

    def epochs_of(self, name: str, steps_of_pass: int) -> tuple[int, int]:
        """The number of epochs for a name in `EPOCHS`, and the steps of each.

        An epoch is a pass over the photos or, of few photos, several: evaluating and
        saving after every few steps would take longer than they do.
        """
        passes, (default, least) = getattr(self, name), EPOCHS[name]
        if passes is None:
            passes = max(default, -(-least // steps_of_pass))
        steps = passes * steps_of_pass
        epochs = min(passes, max(1, steps // max(steps_of_pass, _FEWEST_STEPS)))
        return epochs, round(steps / max(epochs, 1))

    def check_for_browser(self) -> None:
        """Raises a `ValueError` if browsers cannot run the files."""
        if self.io == "int8":
            raise ValueError(
                "Browsers run no file that takes int8: use io='uint8' (--io=uint8)."
            )


# The description of each setting, by name.
FIELDS = descriptions_of(Job)
