"""Formulas of Megatron-LM, in the symbols of their papers, for layers of a GPT in 16 bits.

Symbols: s sequence length, b micro-batch, h hidden size, a heads, t tensor-parallel ranks, p pipeline stages,
L layers, v vocabulary.

Source: Korthikanti et al., Reducing Activation Recomputation in Large Transformer Models, arXiv 2205.05198;
Megatron-LM, megatron/training/theoretical_memory_usage.py.
"""

from dataclasses import dataclass
from typing import Literal

Recompute = Literal["none", "selective", "full"]


def activations_of_a_layer(
    *,
    s: int,
    b: int,
    h: int,
    a: int,
    t: int = 1,
    sequence_parallel: bool = False,
    recompute: Recompute = "none",
) -> float:
    """Bytes a layer keeps: sbh·(10 + 24/t + 5as/(ht)); every term divided by t with sequence parallelism.

    Without parallelism sbh·(34 + 5as/h). Selective recomputation drops the term of the scores; full keeps the
    layer's input alone, 2sbh.

    Source: arXiv 2205.05198, equations 1 and 2, table 2.

    >>> gpt_3 = dict(s=2048, b=1, h=12288, a=96)
    >>> activations_of_a_layer(**gpt_3) / (2048 * 12288)
    114.0
    >>> saved = activations_of_a_layer(**gpt_3, recompute="selective") / activations_of_a_layer(**gpt_3)
    >>> round(1 - saved, 2)
    0.7
    """
    if recompute == "full":
        return 2 * s * b * h
    scores = 0 if recompute == "selective" else 5 * a * s / (h * t)
    alone = 10 / t if sequence_parallel else 10
    return s * b * h * (alone + 24 / t + scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpt:
    """A model as Megatron's arguments describe it.

    Attributes:
        f: ffn_hidden_size.
        groups: KV heads; a without grouped queries.
        kv_channels: of a head.
    """

    L: int
    h: int
    a: int
    f: int
    v: int
    groups: int
    kv_channels: int
    experts: int = 1
    gated: bool = False
    tied: bool = True

    @property
    def layer_parameters(self) -> float:
        """2·L·h²·((1 + g/a)·q/h + f/h·E·(3/2 if gated) + 2/h + 1/(L·h))."""
        q = self.kv_channels * self.a
        return (
            2
            * self.L
            * self.h**2
            * (
                (1 + self.groups / self.a) * q / self.h
                + self.f / self.h * self.experts * (1.5 if self.gated else 1)
                + 2 / self.h
                + 1 / (self.L * self.h)
            )
        )

    @property
    def parameters(self) -> float:
        """All, the embedding once or twice."""
        return self.layer_parameters + self.h * self.v * (1 if self.tied else 2)


def weights_and_optimizer(model: Gpt, *, t: int, p: int, dp: int, distributed_optimizer: bool) -> float:
    """Bytes on the fullest rank: 18 a parameter, or 6 + 12/dp with a distributed optimizer.

    It holds a p-th of the layers and one embedding, both divided by t; a head of its own where p is 1.

    Source: Megatron-LM, theoretical_memory_usage.py, compute_weight_and_optimizer_memory.
    """
    embedding = model.h * model.v
    shard = (model.layer_parameters / p + embedding) / t
    if not model.tied and p == 1:
        shard += embedding / t
    return shard * (6 + 12 / dp if distributed_optimizer else 18)


def activations(model: Gpt, *, s: int, b: int, t: int, p: int, micro_batches: int) -> float:
    """Bytes on the first stage, with sequence parallelism and selective recomputation.

    (s·b·h·(18 + 4f/h)·L + 8·s·b·p + s·b·h·p) / t; where p is 1 also the head's input and the loss's,
    4·s·b·h·(1 + v/h); fewer micro-batches than stages keep fewer.

    Source: Megatron-LM, theoretical_memory_usage.py, compute_activation_memory.
    """
    kept = s * b * model.h * (18 + 4 * model.f / model.h) * model.L
    kept += 8 * s * b * p + s * b * model.h * p
    if p > 1:
        kept *= min(1, micro_batches / p)
    else:
        kept += s * b * model.h * 4 * (1 + model.v / model.h)
    return kept / t
