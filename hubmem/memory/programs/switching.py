"""What a config changes of its family's computation.

Source: transformers 5.23, activations.py, ACT2CLS, for the names of functions.
"""

from dataclasses import replace
from typing import Any

from hubmem.memory.programs.computation import Activation, Computation, Residual
from hubmem.models.switches import Switches

_ACTIVATIONS = {
    "gelu_new": Activation.GELU_NEW,
    "gelu_fast": Activation.GELU_FAST,
    "quick_gelu": Activation.QUICK_GELU,
    "relu": Activation.RELU,
    "relu2": Activation.RELU_SQUARED,
    "xielu": Activation.XIELU,
}
_NAMED = frozenset({*_ACTIVATIONS.values(), Activation.FUSED})
_PARALLEL = (Residual.PARALLEL, Residual.PARALLEL_TWO)
# Where a family drops elements if it drops any; those it does not name follow the first that it does.
_DROPOUTS = ("dropout", "mlp_dropout", "inner_dropout", "output_dropout")


def switched(computation: Computation, switches: Switches) -> Computation:
    """The computation of a family as one config of it asks for it."""
    return replace(
        computation,
        activation=_activation(computation, switches),
        residual=_residual(computation, switches),
        own_positions=computation.own_positions or switches.rotates_by_place,
        **_caps(computation, switches),
        **_dropouts(computation, switches),
    )


def _activation(computation: Computation, switches: Switches) -> Activation:
    """The function the config names, where the code looks it up and has none of its own."""
    if switches.activation is None or computation.activation not in _NAMED:
        return computation.activation
    return _ACTIVATIONS.get(switches.activation, Activation.FUSED)


def _residual(computation: Computation, switches: Switches) -> Residual:
    if switches.parallel is False and computation.residual in _PARALLEL:
        return Residual.PRE
    if switches.parallel and computation.residual is Residual.PRE:
        return Residual.PARALLEL
    return computation.residual


def _caps(computation: Computation, switches: Switches) -> dict[str, Any]:
    """Caps on scores are in no kernel of torch's."""
    scores = computation.softcap if switches.caps_scores is None else switches.caps_scores
    logits = computation.logits_softcap if switches.caps_logits is None else switches.caps_logits
    return {
        "softcap": scores,
        "logits_softcap": logits,
        "fused_kernels": computation.fused_kernels and not scores,
    }


def _dropouts(computation: Computation, switches: Switches) -> dict[str, Any]:
    """Where elements are dropped is the family's, whether is the config's."""
    dropouts: dict[str, Any] = {}
    if switches.dropout is not None:
        places = [place for place in _DROPOUTS if getattr(computation, place)] or ["dropout"]
        dropouts |= dict.fromkeys(places, switches.dropout)
    of_embeddings = switches.dropout if switches.embedding_dropout is None else switches.embedding_dropout
    if of_embeddings is not None and (computation.embedding_dropout or switches.embedding_dropout):
        dropouts["embedding_dropout"] = of_embeddings
    if switches.attention_dropout is not None:
        dropouts["attention_dropout"] = switches.attention_dropout
    return dropouts
