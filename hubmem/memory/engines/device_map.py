"""accelerate's `device_map`: whole layers on the GPU until it is full, the rest in the host's memory.

What lies on the host is brought to the GPU for its turn and dropped again, so that there is always room for the
largest of it; keys and values stay on the GPU.

Source: accelerate 1.15, big_modeling.dispatch_model and hooks.AlignDevicesHook;
https://huggingface.co/docs/accelerate/concept_guides/big_model_inference
"""

from dataclasses import dataclass

from hubmem.errors import UsageError
from hubmem.memory.places import EMBEDDING, by_place
from hubmem.memory.plan import Basis, Term
from hubmem.memory.sharding import Rank
from hubmem.memory.static import held_bytes
from hubmem.units import format_binary
from hubmem.weights.roles import Role

_SOURCE = "accelerate 1.15, dispatch_model: whole layers in order, the rest on the host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """The weights of a rank with so many layers on its GPU.

    Attributes:
        device: on the GPU: what stays there, and room for the largest part of the rest.
        host: in the host's memory.
    """

    device: tuple[Term, ...]
    host: tuple[Term, ...]


def mapped_weights(rank: Rank, gpu_layers: int) -> Mapped:
    """The embedding and the first layers on the GPU; the other layers, the last norm and the head on the host.

    Raises:
        UsageError: the model's layers are not known, or it is divided over devices.
    """
    architecture = rank.architecture
    if architecture is None or architecture.encoder or not rank.whole:
        raise UsageError(
            f"--gpu-layers {gpu_layers} needs a decoder whose layers are known, on one device.",
            hint="Leave it out.",
        )
    size = held_bytes(rank.census, rank.workload)
    groups = (group for group in rank.census.groups if group.role is not Role.BUFFER)
    places = by_place(rank, ((group, size(group)) for group in groups))
    layers = len(architecture.layers)
    stays = {EMBEDDING, *(f"decoder {n}" for n in range(min(gpu_layers, layers)))}
    on_gpu = sum(nbytes for place, nbytes in places.items() if place in stays)
    on_host = {place: nbytes for place, nbytes in places.items() if place not in stays}
    brought, turn = max(((nbytes, place) for place, nbytes in on_host.items()), default=(0, "nothing"))
    return Mapped(
        device=(
            _term("weights", on_gpu, f"embedding and {min(gpu_layers, layers)} of {layers} layers"),
            _term("weights on their turn", brought, f"the largest part of the host's: {turn}"),
        ),
        host=(
            _term(
                "weights",
                sum(on_host.values()),
                f"{layers - min(gpu_layers, layers)} layers, norm and head: {format_binary(sum(on_host.values()))}",
            ),
        ),
    )


def _term(name: str, nbytes: int, formula: str) -> Term:
    return Term(name=name, nbytes=nbytes, basis=Basis.DERIVED, formula=formula, source=_SOURCE)
