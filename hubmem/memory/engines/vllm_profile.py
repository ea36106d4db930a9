"""The peak of vLLM's profile run: one step as large as it may get, and sampling after it.

Rules are those of vLLM 0.11 (its V1 engine) unless another version is named.
Symbols: S sequences and T tokens of a step, V vocabulary, h hidden size, I width of an MLP, k experts a token
goes to, e bytes of an element.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hubmem.memory.device import Device
from hubmem.memory.plan import Basis, Term
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Dense, Experts, Layer
from hubmem.models.mixers import Attention, LatentAttention, Mixer
from hubmem.units import GIB, MIB, format_binary

_SOURCE = "vLLM 0.11, v1/worker/gpu_model_runner.py, profile_run"

# A device with this much, if it is no A100, gets larger steps (vLLM 0.11, engine/arg_utils.py).
_LARGE_DEVICE = 70 * GIB

# Bytes for each logit while float32 logits are sorted together with their int64 indices: the logits and the
# sorted ones (4 each), the indices before and after (8 each), a radix sort's second buffers (4 + 8).
_SORT_BYTES = 2 * 4 + 2 * 8 + 4 + 8

# Tensors of h for each token at an MLP's end. In compiled code: the residual stream, the MLP's input and its
# output; in eager code also the output of the layer before, which the loop over layers still refers to.
_STREAMS_COMPILED, _STREAMS_EAGER = 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What differs between versions of vLLM.

    Attributes:
        version: whose code they were read in.
        since: the first version that has them.
        sequences, tokens: of a server's step where nobody sets them.
        sequences_on_large, tokens_on_large: the same on a device of 70 GiB or more that is no A100.
        whole_prompts: whether a prompt of up to 32,768 tokens is one step, and not chunks of `tokens`.
        compiles: whether the model is compiled, unless graphs are off.
        counts_graphs: whether an estimate of CUDA graphs is taken out of the pool.
        uncut_from: bytes from which a tensor keeps its allocator's segment whole; None where it never does.
        machete_awq: whether AWQ weights go to the kernel Machete where a device has it.
    """

    version: str
    since: str
    sequences: int = 256
    sequences_on_large: int = 1024
    tokens: int = 2048
    tokens_on_large: int = 8192
    whole_prompts: bool = False
    compiles: bool = True
    counts_graphs: bool = False
    uncut_from: int | None = None
    machete_awq: bool = False


# The engine called V0, the default before 0.8.
V0 = Rules(
    version="0.7",
    since="0.6",
    sequences_on_large=256,
    tokens_on_large=2048,
    whole_prompts=True,
    compiles=False,
)
V1 = Rules(version="0.11", since="0.8")
# While weights are loaded, `max_split_size_mb` is 20 (vllm-project/vllm#41268). AWQ takes one of the kernels for mixed
# precision (vllm-project/vllm#36505).
WITH_GRAPHS = Rules(version="0.21", since="0.21", counts_graphs=True, uncut_from=20 * MIB, machete_awq=True)

_LONGEST_WHOLE_PROMPT = 32768
# Sequences and tokens of a step: a server's on an ordinary device, those of `LLM` on a large one.
_DEFAULTS = ((256, 2048), (1024, 16384))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one step may hold: `max_num_seqs` and `max_num_batched_tokens`.

    Source: vLLM 0.11, engine/arg_utils.py, _set_default_args_v1; 0.7, config.py, SchedulerConfig.

    Attributes:
        known: whether both are set, or follow from the device.
    """

    sequences: int
    tokens: int
    known: bool = True

    @classmethod
    def of(cls, workload: Workload, rules: Rules, device: Device | None = None) -> "Limits":
        """As the user set them, else as a server sets them on that device, or on a small one if none is known.

        >>> Limits.of(Workload(), V1, Device(memory_bytes=80 * 2**30))
        Limits(sequences=1024, tokens=8192, known=True)
        >>> Limits.of(Workload(max_num_seqs=16), V1, Device(memory_bytes=24 * 2**30))
        Limits(sequences=16, tokens=2048, known=True)
        >>> Limits.of(Workload(context=30000), V0).tokens
        30000
        """
        large = device is not None and device.memory_bytes >= _LARGE_DEVICE and not _is_a100(device)
        tokens = rules.tokens_on_large if large else rules.tokens
        if rules.whole_prompts and workload.context <= _LONGEST_WHOLE_PROMPT:
            tokens = max(tokens, workload.context)
        return cls(
            sequences=workload.max_num_seqs or (rules.sequences_on_large if large else rules.sequences),
            tokens=workload.max_num_batched_tokens or tokens,
            known=device is not None or bool(workload.max_num_seqs and workload.max_num_batched_tokens),
        )


def _is_a100(device: Device) -> bool:
    return "a100" in device.name.lower()


def bounds_of(workload: Workload, limits: Limits) -> tuple[Limits, Limits]:
    """The least and the most a step may hold: on an ordinary device, and for `LLM` on a large one.

    >>> [each.sequences for each in bounds_of(Workload(), Limits.of(Workload(), V1))]
    [256, 1024]
    """
    if limits.known:
        return limits, limits
    least, most = ((workload.max_num_seqs or s, workload.max_num_batched_tokens or t) for s, t in _DEFAULTS)
    return (
        Limits(sequences=min(limits.sequences, least[0]), tokens=min(limits.tokens, least[1])),
        Limits(sequences=max(limits.sequences, most[0]), tokens=max(limits.tokens, most[1])),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """So many bytes, and how they were computed: as a formula, and in plain words."""

    nbytes: int
    formula: str
    summary: str


def profile_term(
    architecture: Architecture,
    limits: Limits,
    bounds: tuple[Limits, Limits],
    *,
    itemsize: int,
    workspace: int,
    eager: bool,
    samples: bool,
) -> Term:
    """The larger of the layers' peak and the sampler's.

    Args:
        architecture: of one rank.
        limits: of a step.
        bounds: the least and the most they may be, where they are not known.
        itemsize: bytes of an element of the residual stream.
        workspace: bytes that kernels of matrix products have on this device.
        eager: whether the model is not compiled.
        samples: whether the rank has the output head.
    """

    def peak(at: Limits) -> Peak:
        candidates = [_layers(architecture, at.tokens, itemsize, eager=eager)]
        if samples and architecture.generates:
            candidates.append(_sampler(architecture, at, itemsize))
        return max(candidates, key=lambda candidate: candidate.nbytes)

    usual, (least, most) = peak(limits), map(peak, bounds)
    return Term(
        name="activations",
        nbytes=usual.nbytes + workspace,
        basis=Basis.DERIVED if limits.known else Basis.ASSUMED,
        formula=f"{usual.formula}, + {format_binary(workspace)} of workspace",
        summary=usual.summary,
        symbols="T: tokens of a step, S: its sequences, V: vocabulary, h: hidden size, e: bytes of an element",
        source=_SOURCE,
        low=least.nbytes + workspace,
        high=most.nbytes + workspace,
    )


def sampler_bytes(sequences: int, vocabulary: int, itemsize: int) -> int:
    """S·V·(e + 36): logits in the model's dtype, and what sorting them in float32 for top-p holds.

    Source: vLLM 0.11, v1/sample/ops/topk_topp_sampler.py, apply_top_k_top_p; torch.sort on CUDA is a radix
    sort of keys with int64 values.

    >>> round(sampler_bytes(1024, 128256, 2) / 2**30, 2)
    4.65
    """
    return sequences * vocabulary * (itemsize + _SORT_BYTES)


def _sampler(architecture: Architecture, limits: Limits, itemsize: int) -> Peak:
    """Beside the sampler: the step's T hidden states, and those that are sampled from, twice."""
    s, t, v, h = limits.sequences, limits.tokens, architecture.vocab_size, architecture.hidden_size
    return Peak(
        nbytes=sampler_bytes(s, v, itemsize) + (t + 2 * s) * h * itemsize,
        formula=f"sampler, S·V·(e + 36) B + (T + 2S)·h·e B = {s:,} × {v:,} × {itemsize + _SORT_BYTES}"
        f" + ({t:,} + 2 × {s:,}) × {h:,} × {itemsize}",
        summary=f"to sample for {s:,} sequences from a vocabulary of {v:,}",
    )


def _layers(architecture: Architecture, tokens: int, itemsize: int, *, eager: bool) -> Peak:
    streams = _STREAMS_EAGER if eager else _STREAMS_COMPILED
    widths = (width for layer, _ in architecture.distinct_layers for width in _widths(layer, architecture))
    width = max(widths, default=0)
    h = architecture.hidden_size
    return Peak(
        nbytes=tokens * (width + streams * h) * itemsize,
        formula=f"layer, T·({width:,} + {streams}h)·e B = {tokens:,} × ({width:,} + {streams} × {h:,})"
        f" × {itemsize}",
        summary=f"{tokens:,} tokens in one layer",
    )


def _widths(layer: Layer, architecture: Architecture) -> Iterator[int]:
    """Elements for each token at the widest point of each part of a layer, beside the residual stream.

    An MLP has its first matrices' output and the product: 3I, or 2I without a gate. Experts have the same for
    each of k copies of a token, the second matrix writing over the first's output.

    Source: vLLM 0.11, model_executor/layers/fused_moe/fused_moe.py, intermediate_cache13 and 2.
    """
    part = layer.feed_forward
    matrices = 2 if part and part.gated else 1
    if isinstance(part, Dense):
        yield (matrices + 1) * part.width
    if isinstance(part, Experts):
        yield part.active * (max(matrices * part.width, architecture.hidden_size) + part.width)
        yield (matrices + 1) * part.shared_width
    yield from map(_attention_width, layer.mixers)


def _attention_width(mixer: Mixer) -> int:
    """Queries, keys, values and the heads' output."""
    if isinstance(mixer, Attention):
        return (mixer.heads + mixer.kv_heads) * (mixer.key_dim + mixer.value_dim)
    if isinstance(mixer, LatentAttention):
        return 2 * mixer.heads * (mixer.key_dim + mixer.value_dim)
    return 0
