"""Images in a model's input: what they become, what stands in memory for them, and the tower they go through."""

from dataclasses import dataclass, replace

from hubmem.errors import UsageError
from hubmem.memory.programs.computation import Computation
from hubmem.memory.programs.families import computation_of
from hubmem.memory.programs.stacks import Stack
from hubmem.memory.programs.tape import Arithmetic, Extent, Storage
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.models.towers import Seen, Tower
from hubmem.weights.census import Census

# Processors hand pixels over in float32.
_FLOAT32 = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """All images of a batch.

    Attributes:
        hidden: width of the language model, into which a tower's output is projected.
    """

    tower: Tower
    seen: Seen
    hidden: int
    workload: Workload
    computation: Computation
    arithmetic: Arithmetic

    @property
    def count(self) -> int:
        """How many there are."""
        return self.workload.batch * self.workload.images

    @property
    def stack(self) -> Stack:
        """The tower's layers, each picture a sequence of its own."""
        pictures = self.count * self.seen.crops
        return Stack(
            architecture=self.tower.body,
            computation=self.computation,
            workload=replace(self.workload, batch=pictures, padded=False, full_logits=True),
            layers=self.tower.body.layers,
            arithmetic=replace(self.arithmetic, batched=pictures > 1),
            tokens=self.seen.patches,
            keys=self.seen.patches,
            causal=False,
        )

    @property
    def pixels(self) -> Storage:
        """What the processor hands over."""
        patches = self.count * self.seen.crops * self.seen.patches
        return Storage("pixels", "pixels", patches * self.tower.patch_values, _FLOAT32, Extent.ONCE)

    @property
    def cast_pixels(self) -> tuple[Storage, ...]:
        """The same in the model's dtype, where it refers to them while the tower runs."""
        needed = self.computation.pixels_cast and self.arithmetic.itemsize < _FLOAT32
        half = replace(self.pixels, label="pixels in bf16", itemsize=self.arithmetic.itemsize)
        return (half,) if needed else ()

    @property
    def held(self) -> tuple[Storage, ...]:
        """What the model refers to until it returns: the tower's output, and as tokens once more when joined."""
        pictures, h = self.count * self.seen.crops, self.tower.body.hidden_size
        output = pictures * self.seen.patches * h
        features = self.count * self.seen.tokens * self.hidden
        e = self.arithmetic.itemsize
        return (
            Storage("tower's output", "patches·h", output, e, Extent.ONCE),
            Storage("image features", "image tokens·h", features, e, Extent.ONCE),
            Storage("image features, joined", "image tokens·h", features, e, Extent.ONCE),
        )


def images_of(
    architecture: Architecture, census: Census, workload: Workload, arithmetic: Arithmetic
) -> Images | None:
    """The images of a workload, or None where it has none."""
    seen = seen_by(architecture, workload)
    if seen is None:
        return None
    assert architecture.tower is not None
    return Images(
        tower=architecture.tower,
        seen=seen,
        hidden=architecture.hidden_size,
        workload=workload,
        computation=computation_of(architecture.tower.body, census),
        arithmetic=arithmetic,
    )


def seen_by(architecture: Architecture, workload: Workload) -> Seen | None:
    """What each image of a workload becomes, or None where it has none.

    Raises:
        UsageError: the model sees no images, or how it sees them is not known.
    """
    if not workload.images:
        return None
    if architecture.tower is None:
        raise UsageError(
            f"--images {workload.images}: how many tokens an image is to {architecture.model_type} is not known.",
            hint="Without --images the plan is of text alone.",
        )
    return architecture.tower.sight.see(*workload.image_pixels)


def image_tokens(architecture: Architecture | None, workload: Workload) -> int:
    """Tokens of all images of a sequence."""
    seen = seen_by(architecture, workload) if architecture else None
    return workload.images * seen.tokens if seen else 0


def check_images(architecture: Architecture | None, workload: Workload) -> None:
    """Nothing, if a context holds its images.

    Raises:
        UsageError: it does not, both named.
    """
    tokens = image_tokens(architecture, workload)
    if tokens > workload.context:
        raise UsageError(
            f"--images {workload.images} are {tokens:,} tokens, and --context is {workload.context:,}.",
            hint="A context holds the images and the text.",
        )


def with_images(architecture: Architecture | None, workload: Workload) -> Workload:
    """The workload with a context that holds its images at least, whatever length is tried on a device."""
    return replace(workload, context=max(workload.context, image_tokens(architecture, workload)))
