"""From what files hold to what a model has: packed weights unpacked, tied tensors once, draft layers apart.

Each step needs a fact of the config; `count` takes them in the order they depend on each other.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from hubmem import templates
from hubmem.weights.census import Census, TensorGroup
from hubmem.weights.quantization import Quantization, unpack_census
from hubmem.weights.roles import Role

# The layers of a decoder without an encoder: layers beyond the config's number are extra heads for drafting.
_DECODER_LAYERS = re.compile(r"((model|language_model|transformer|backbone)\.)*(layers|blk)\.")
# Embeddings that encoder-decoder models share between their halves, by the names of their copies.
_SHARED = "shared.weight"
_COPIES_OF_SHARED = re.compile(r"(.*\.)?(encoder|decoder)\.embed_tokens\.weight")
_OUTPUT = re.compile(
    r"(.*\.)?(lm_head|embed_out|output|generator_lm_head|lm_loss|cls\.predictions\.decoder|lm_head\.decoder)\.weight"
)
_OUTPUT_BIAS = re.compile(r"(.*\.)?(cls\.predictions|lm_head)\.decoder\.bias")
_INPUT = re.compile(r"(.*\.)?(embed_tokens|wte|word_embeddings|shared|embed_in|tok_embeddings)\.weight")
# A token meets none of these: towers see images and sound, draft layers guess ahead.
_INACTIVE = frozenset({Role.VISION, Role.AUDIO, Role.DRAFT, Role.ADAPTER})


def count(
    census: Census,
    *,
    quantization: Quantization | None = None,
    tied_embeddings: bool = False,
    layers: int | None = None,
) -> Census:
    """The census with logical parameters counted as the model has them.

    Args:
        census: of the files as they are.
        quantization: how its weights are packed, or None.
        tied_embeddings: whether the output head is the input embedding (`tie_word_embeddings`).
        layers: the number of layers the config names (`num_hidden_layers`), or None.
    """
    census = unpack_census(census, quantization)
    census = with_draft_layers(census, layers) if layers else census
    return count_tied_once(census, tied_embeddings=tied_embeddings)


def count_tied_once(census: Census, *, tied_embeddings: bool) -> Census:
    """The census with tied tensors counted once where the files hold both."""
    inputs = [group for group in census.groups if _INPUT.fullmatch(group.template)]
    has_shared = any(group.template.endswith(_SHARED) for group in inputs)
    shapes = {group.unpacked for group in inputs}

    def is_beside_input(head: re.Match[str], shape: tuple[int, ...] | None) -> bool:
        """Whether the model that has the head, of several in one checkpoint, has such an embedding."""
        return any(group.unpacked == shape and group.template.startswith(head[1] or "") for group in inputs)

    def is_copy(group: TensorGroup) -> bool:
        if has_shared and _COPIES_OF_SHARED.fullmatch(group.template):
            return group.unpacked in shapes
        if not tied_embeddings:
            return False
        head = _OUTPUT.fullmatch(group.template)
        return (head is not None and is_beside_input(head, group.unpacked)) or _repeats_bias(group, census)

    copies = [group for group in census.groups if group.unpacked is not None and is_copy(group)]
    if not copies:
        return census
    names = ", ".join(group.template for group in copies)
    return census.changed(
        lambda group: replace(group, unpacked=None, copy=True) if group in copies else group,
        f"{names} repeats the embedding it is tied to: stored, but counted and loaded once.",
    )


def _repeats_bias(group: TensorGroup, census: Census) -> bool:
    """BERT's `cls.predictions.decoder.bias` repeats `cls.predictions.bias`."""
    original = group.template.replace(".decoder.bias", ".bias")
    return bool(_OUTPUT_BIAS.fullmatch(group.template)) and any(
        other.template == original for other in census.groups
    )


def with_draft_layers(census: Census, layers: int) -> Census:
    """The census with layers numbered from `layers` on in the role of drafting, as in DeepSeek-V3's files."""
    groups = tuple(part for group in census.groups for part in _draft_apart(group, layers))
    return replace(census, groups=groups)


def _draft_apart(group: TensorGroup, layers: int) -> Iterator[TensorGroup]:
    cut = templates.cut_at_numbers(group.template)
    if cut is None or max(cut[1]) < layers or not _DECODER_LAYERS.match(group.template):
        yield group
        return
    before, numbers, after = cut
    within = [number for number in numbers if number < layers]
    if within:
        yield _named(group, templates.with_numbers(before, within, after))
    drafts = [number for number in numbers if number >= layers]
    beyond = _named(group, templates.with_numbers(before, drafts, after))
    yield beyond if beyond.role is Role.BUFFER else replace(beyond, role=Role.DRAFT)


def _named(group: TensorGroup, template: str) -> TensorGroup:
    """Those of a group's tensors that a template stands for."""
    return replace(group, template=template, count=templates.count(template))


def active_parameters(census: Census, experts: int, experts_per_token: int) -> int:
    """Parameters that one token of text meets, where each layer has as many experts and uses as many.

    Whether each expert has tensors of its own or a layer has all in one, the experts' parameters are
    spread evenly over them.

    Args:
        census: counted.
        experts: routed experts of a layer.
        experts_per_token: how many of them the router picks.
    """
    by_role = census.by_role()
    routed = by_role.get(Role.EXPERTS, 0)
    always = sum(parameters for role, parameters in by_role.items() if role not in _INACTIVE) - routed
    return always + routed * experts_per_token // experts
