"""Images in a model's input: what they become, what stands in memory for them, and the tower they go through."""

from dataclasses import dataclass, replace

from hubmem.errors import UsageError
from hubmem.memory.programs.computation import Computation
from hubmem.memory.programs.families import computation_of
from hubmem.memory.programs.heads import trace_projection
from hubmem.memory.programs.stacks import Stack
from hubmem.memory.programs.tape import Arithmetic, Extent, Storage, Trace
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.models.sights import Seen
from hubmem.models.towers import Tower
from hubmem.weights.census import Census


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """All images of a batch.

    Attributes:
        hidden: width of the language model, into which a tower's output is projected.
        computation: of the tower's layers, None where they are not known.
    """

    tower: Tower
    seen: Seen
    hidden: int
    workload: Workload
    computation: Computation | None
    arithmetic: Arithmetic

    @property
    def count(self) -> int:
        """How many there are."""
        return self.workload.batch * self.workload.images

    @property
    def pictures(self) -> int:
        """What they are cut into."""
        return self.count * self.seen.crops

    @property
    def positions(self) -> int:
        """Of a picture, in the tower's sequence."""
        return self.seen.patches + self.tower.class_tokens

    @property
    def stack(self) -> Stack | None:
        """The tower's layers, each picture a sequence of its own or all of them one; None where they are not known."""
        if self.tower.body is None or self.computation is None:
            return None
        sequences, positions = self.pictures, self.positions
        if self.computation.packed:
            sequences, positions = 1, sequences * positions
        return Stack(
            architecture=self.tower.body,
            computation=self.computation,
            workload=replace(self.workload, batch=sequences, padded=False, full_logits=True),
            layers=self.tower.trained,
            arithmetic=replace(self.arithmetic, batched=sequences > 1),
            tokens=positions,
            keys=positions,
            causal=False,
        )

    @property
    def pixels(self) -> Storage:
        """What the processor hands over."""
        values = self.pictures * self.seen.pixels * self.tower.pixel_values
        return Storage("pixels", "pixels", values, self.tower.pixel_bytes, Extent.ONCE)

    @property
    def cast_pixels(self) -> tuple[Storage, ...]:
        """The same in the model's dtype, where it refers to them while the tower runs."""
        cast = self.computation is not None and self.computation.pixels_cast
        half = replace(self.pixels, label="pixels in bf16", itemsize=self.arithmetic.itemsize)
        return (half,) if cast and self.arithmetic.itemsize < self.tower.pixel_bytes else ()

    @property
    def width(self) -> int:
        """Of the tower's output; as wide as the language model where its layers are not known."""
        return self.tower.body.hidden_size if self.tower.body else self.hidden

    @property
    def features(self) -> int:
        """Tokens that the tower's output stands for."""
        return self.count * self.seen.features

    @property
    def projection(self) -> Trace:
        """From the tower's output to features; what patches of one are put side by side is as wide as all of them."""
        handing, width = self.tower.handing, self.width
        if handing.merges:
            width *= self.seen.crops * self.seen.patches // self.seen.features
        inner = width if handing.widens else self.hidden
        norms = self.computation if handing.merges else None
        return trace_projection(width, inner, self.hidden, self.arithmetic, norms=norms)

    @property
    def held(self) -> tuple[Storage, ...]:
        """What the model refers to until it returns: the tower's output, and as tokens once more when joined."""
        features = self.features * self.hidden
        positions = self.pictures * self.positions
        output = self.features * self.tower.shrunk if self.tower.shrunk else positions * self.width
        e = self.arithmetic.itemsize
        handed = [Storage("tower's output", "patches·h", output, e, Extent.ONCE)] * self.tower.handing.outputs
        names = ["image features", "image features, joined"][: 1 + self.tower.handing.joined]
        each = [Storage(name, "image tokens·h", features, e, Extent.ONCE) for name in names]
        if self.tower.deepstack:
            # An early layer's output is copied before the features are added to it.
            handed.append(Storage("output of the layer before", "h", self.hidden, e, Extent.STREAM))
        return (*handed, *(each * (1 + self.tower.deepstack)))


def images_of(
    architecture: Architecture, census: Census, workload: Workload, arithmetic: Arithmetic
) -> Images | None:
    """The images of a workload, or None where it has none."""
    seen = seen_by(architecture, workload)
    if seen is None:
        return None
    tower = architecture.tower
    assert tower is not None
    return Images(
        tower=tower,
        seen=seen,
        hidden=architecture.hidden_size,
        workload=workload,
        computation=computation_of(tower.body, census) if tower.body else None,
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
    return architecture.tower.sight.see(*workload.image_pixels, beside=workload.images - 1)


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
    """The workload with a context that holds its images at least, whatever length is tried on a device.

    Where no token is an image's own, layers look across to every position of its pictures (Llama 3.2 Vision).
    """
    seen = seen_by(architecture, workload) if architecture else None
    if architecture is None or architecture.tower is None or seen is None:
        return workload
    workload = replace(workload, context=max(workload.context, image_tokens(architecture, workload)))
    if seen.features:
        return workload
    positions = workload.images * seen.crops * (seen.patches + architecture.tower.class_tokens)
    return replace(workload, encoder_context=positions)
