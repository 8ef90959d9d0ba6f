"""The settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Literal, get_args, get_origin, get_type_hints

from featherface.config import CONFIGS, MIN_SIZE
from featherface.errors import InputError

MAX_CROP = 4096
"""The largest side of a crop, in pixels."""
MAX_NUMBER = 2**32
"""The largest number of steps, crops and so on."""
MAX_STEP_PIXELS = 2**32
"""Of the crops of one step, 50 GB in float32."""

_ACCEPTED: dict[Any, Any] = {float: float | int, float | None: float | int | None}


class RecipeError(InputError):
    """A recipe that cannot be followed; the message names the setting and why."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a run; see `featherface.training.loop.train`.

    The length is `steps`, or `minutes` of wall-clock time; schedules follow the elapsed fraction.

    Raises:
        RecipeError: for a value out of its range, or settings that exclude each other.
    """

    variant: str = "v1"
    teacher: str | None = "official"  # published weights or a file; None trains on faces alone
    backbone: Literal["teacher", "random"] = "teacher"  # what its weights start from
    start: str | None = None  # a file of weights that all of the network starts from, instead
    frozen: float = 0.4  # fraction of the run for which a backbone from the teacher stays as it is
    steps: int | None = None
    minutes: float | None = None

    longest: int = 704  # longer side at which images are kept in memory, at most
    size: int = 512  # side of the square crops, in pixels
    batch: int = 64  # crops a step, of all processes together
    zoom: tuple[float, float] = (0.45, 2.5)  # pixels of the crop per pixel of the stored image
    faces: int = 96  # annotated faces a crop keeps at most, the largest

    optimizer: Literal["adamw", "sgd"] = "adamw"  # sgd: with momentum 0.9
    learning_rate: float = 3e-3  # at its peak; sgd wants a smaller one
    backbone_rate: float = 0.2  # times learning_rate, for a backbone from the teacher
    weight_decay: float = 0.02  # of convolutions and linear layers
    warmup: float = 0.03  # fraction of the run; cosine decay to zero follows
    clip: float = 5.0  # largest norm of the gradient
    average: float = 0.998  # decay of the averaged weights (EMA), which are what is kept

    face_loss: float = 0.3  # annotated faces: MultiBox
    score_loss: float = 1.0  # teacher's scores, boxes, landmarks, and levels of its backbone
    box_loss: float = 1.0
    landmark_loss: float = 0.15
    level_loss: float = 1.0

    holdout: int = 160  # images that are not trained on
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 where a GPU has it

    def __post_init__(self) -> None:
        positive = ("steps", "minutes", "batch", "faces", "longest", "learning_rate", "clip")
        for name, hint in get_type_hints(type(self)).items():
            value, kind = getattr(self, name), get_origin(hint)
            if kind is Literal and value not in get_args(hint):
                raise RecipeError(f"{name} (={value!r}) must be one of {', '.join(get_args(hint))}")
            fits = kind in (Literal, tuple) or isinstance(value, _ACCEPTED.get(hint, hint))
            if not fits or isinstance(value, bool):
                wanted = self.__annotations__[name]
                raise RecipeError(f"{name} (={value!r}) must be of type {wanted}")
            if isinstance(value, float) and not isfinite(value):
                raise RecipeError(f"{name} (={value}) must be finite")
            if isinstance(value, int) and value > MAX_NUMBER:
                raise RecipeError(f"{name} (={value}) must not exceed {MAX_NUMBER:,}")
            if isinstance(value, int | float) and (value < 0 or (name in positive and not value)):
                least = "above 0" if name in positive else "0 or more"
                raise RecipeError(f"{name} (={value}) must be {least}")
            if name in ("frozen", "warmup", "average") and not 0 <= value <= 1:
                raise RecipeError(f"{name} (={value}) must be from 0 to 1")
        if self.variant not in CONFIGS:
            raise RecipeError(f"variant (={self.variant!r}) must be one of {', '.join(CONFIGS)}")
        if (self.steps is None) == (self.minutes is None):
            raise RecipeError("give either steps or minutes: how long to train")
        if self.size not in range(MIN_SIZE, MAX_CROP + 1, MIN_SIZE):
            wanted = f"a multiple of {MIN_SIZE}, at most {MAX_CROP}"
            raise RecipeError(f"size of the crops (={self.size}) must be {wanted}")
        if self.batch * self.size**2 > MAX_STEP_PIXELS:
            raise RecipeError(
                f"batch (={self.batch}) of crops of {self.size}×{self.size} pixels must not exceed "
                f"{MAX_STEP_PIXELS:,} pixels"
            )
        match self.zoom:
            case (float() | int() as low, float() | int() as high) if 0 < low <= high < inf:
                object.__setattr__(self, "zoom", (low, high))  # a list where it was JSON
            case _:
                raise RecipeError(f"zoom (={self.zoom}) must be two rising numbers above 0")
        if self.teacher is None and self.backbone == "teacher":
            raise RecipeError("backbone (='teacher') needs a teacher; start from 'random'")
        if self.teacher is None and self.face_loss <= 0:
            raise RecipeError("face_loss (=0) leaves nothing to learn from without a teacher")
