"""A model as a list of layers: what each mixes tokens with and what its feed-forward part is."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import TYPE_CHECKING, TypeGuard, TypeVar

from hubmem.models.mixers import Attention, Kept, LatentAttention, Mixer, Span
from hubmem.models.switches import Switches

if TYPE_CHECKING:
    from hubmem.models.towers import Tower

# What the classes of encoders are called that make logits of words; others pool, or classify.
_HEADS_OF_ENCODERS = ("ForMaskedLM", "ForPreTraining", "LMHead")

_Value = TypeVar("_Value", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """A feed-forward part every token goes through.

    Attributes:
        gated: whether it has a gate beside its up projection (SwiGLU, GeGLU): three matrices, not two.
        cut_off: whether all but a token's largest values of the gate are set to zero (Gemma 3n).
    """

    width: int
    gated: bool
    cut_off: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """Feed-forward parts of which a router picks a few for each token.

    Attributes:
        count: routed experts.
        active: of them, how many a token goes through.
        width: of one expert.
        shared_width: of the part every token goes through beside them, 0 without one.
    """

    count: int
    active: int
    width: int
    shared_width: int
    gated: bool


FeedForward = Dense | Experts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer. Several mixers: in parallel (Falcon-H1) or in sequence (self- then cross-attention)."""

    mixers: tuple[Mixer, ...]
    feed_forward: FeedForward

    def kept(self, span: Span) -> Kept:
        """What it holds in the cache for one sequence."""
        return reduce(Kept.__add__, (mixer.kept(span) for mixer in self.mixers), Kept())


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What `config.json` says about a model.

    Attributes:
        model_type: transformers' name of the family.
        class_name: of the model in `architectures`, or None.
        max_context: positions it was made for, or None where it has no limit of its own.
        dtype: the config's, by its safetensors name, or None.
        tied_embeddings: whether the head is the embedding.
        layers: of the decoder, or of the only stack.
        encoder: of an encoder that is run once a sequence.
        generates: whether it makes tokens one by one and so keeps a cache.
        switches: what its config switches in its class's code.
        tower: for images, where it is known how many tokens they become.
    """

    model_type: str
    class_name: str | None
    hidden_size: int
    vocab_size: int
    max_context: int | None
    dtype: str | None
    tied_embeddings: bool
    layers: tuple[Layer, ...]
    encoder: tuple[Layer, ...] = ()
    generates: bool = True
    switches: Switches = field(default_factory=Switches)
    tower: "Tower | None" = None

    @property
    def logits(self) -> int:
        """What it makes of each token: as many as the vocabulary, none where an encoder's class has no head for words."""
        named = self.class_name or ""
        headless = not self.generates and named and not any(head in named for head in _HEADS_OF_ENCODERS)
        return 0 if headless else self.vocab_size

    def kept(self, span: Span) -> Kept:
        """What all layers hold in the cache for one sequence; nothing for a model that does not generate."""
        if not self.generates:
            return Kept()
        return reduce(
            Kept.__add__, (layer.kept(span) * count for layer, count in self.distinct_layers), Kept()
        )

    @cached_property
    def distinct_layers(self) -> tuple[tuple[Layer, int], ...]:
        """Layers that differ, and how many there are of each, in order of first appearance."""
        counts: Counter[Layer] = Counter()
        for layer, count in _by_identity(self.layers):
            counts[layer] += count
        return tuple(counts.items())

    @cached_property
    def attention(self) -> Attention | LatentAttention | None:
        """The most common attention over a layer's own sequence, for a one-line description."""
        counts: Counter[Attention | LatentAttention] = Counter()
        for layer, count in self.distinct_layers:
            counts.update({mixer: count for mixer in layer.mixers if _looks_at_itself(mixer)})
        return _most_common(counts)

    @property
    def feed_forward(self) -> Dense | Experts | None:
        """The most common feed-forward part."""
        counts: Counter[Dense | Experts] = Counter()
        for layer, count in self.distinct_layers:
            if layer.feed_forward is not None:
                counts[layer.feed_forward] += count
        return _most_common(counts)

    @property
    def layer_kinds(self) -> dict[str, int]:
        """How many layers have each kind of mixer; kinds in one layer are joined by `+`."""
        return dict(
            Counter("+".join(mixer.kind for mixer in layer.mixers) or "none" for layer in self.layers)
        )


def _looks_at_itself(mixer: Mixer) -> TypeGuard[Attention | LatentAttention]:
    return isinstance(mixer, LatentAttention) or (isinstance(mixer, Attention) and mixer.source == "self")


def _most_common(counts: Counter[_Value]) -> _Value | None:
    ranked = counts.most_common(1)
    return ranked[0][0] if ranked else None


def alike_as_one(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """The same layers, those that are equal being one object: what is asked of each is then found out once."""
    known: dict[Layer, Layer] = {}
    return tuple(known.setdefault(layer, layer) for layer in layers)


def _by_identity(layers: Sequence[Layer]) -> Iterator[tuple[Layer, int]]:
    """Each object among them and how often it is there: hashing a hundred layers costs more than a plan should."""
    counts = Counter(map(id, layers))
    objects = {id(layer): layer for layer in layers}
    return ((objects[key], count) for key, count in counts.items())
