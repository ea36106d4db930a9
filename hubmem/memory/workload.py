"""What is to be done with a model: one frozen value from the command line to the last formula."""

import re
from dataclasses import dataclass
from typing import Literal

from hubmem.errors import UsageError
from hubmem.models.mixers import CachePolicy

# The default context: long enough for a chat with a document, short enough for small cards.
DEFAULT_CONTEXT = 8192
_LARGEST = 2**40
# Width and height in pixels, of at most five digits.
_SIZE = re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}")
_COUNTS = (
    "batch",
    "context",
    "encoder_context",
    "rank",
    "accumulation",
    "tp",
    "pp",
    "ep",
    "dp",
    "cp",
    "max_num_seqs",
    "max_num_batched_tokens",
    "micro_batch",
)

Mode = Literal["inference", "training"]
Training = Literal["full", "lora", "qlora"]
Precision = Literal["fp32", "bf16", "amp"]
AttentionCode = Literal["sdpa", "eager"]
AttentionKernels = Literal["all", "no-wide-backward", "no-flash"]
Checkpointing = Literal["none", "full", "selective"]
Loss = Literal["plain", "fused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is asked of the model.

    Attributes:
        engine: what runs it: `transformers`, or another row of the engines.
        engine_version: whose rules are asked for; None for those the engine's row knows best.
        batch: sequences at once.
        context: tokens of each, the prompt and what is generated together.
        encoder_context: tokens of an encoder's input; None for the model's usual length.
        images: in each sequence, whose tokens are a part of its context.
        image_size: of each, width and height in pixels, such as `1280x720`.
        attention_kernels: which of torch's fused ones the device has: `all`, those of an A100; without flash's backward
            pass for some wide heads; without flash.
        weight_dtype: precision the weights are held in; None for as stored.
        kv_dtype: dtype of the cache; None for what the engine would choose.
        padded: whether sequences of a batch differ in length and the shorter are filled up.
        full_logits: whether a forward pass makes logits for every token, and not for each sequence's last.
        train: how it is trained; None for inference.
        precision: what training computes in: pure fp32, pure bf16, or bf16 beside fp32 master weights (amp).
        rank, lora_targets: of LoRA adapters.
        adapter_dtype: of LoRA adapters: float32, as PEFT makes them, or the model's.
        lora_dropout: probability that an element of an adapter's input is dropped.
        dora: whether adapters train the magnitude of each output's weights apart (DoRA).
        loss: whether logits and their gradients are whole tensors, or a chunk at a time in one kernel with the head.
        accumulation: micro-batches whose gradients are summed before a step.
        tp, pp, ep, dp, cp: ranks of tensor, pipeline, expert, data and context parallelism.
        sequence_parallel: whether tensor-parallel ranks also share the residual stream's tokens.
        zero: ZeRO stage, 0 to 3; FSDP is 3.
        offload: what lies in the host's memory: the optimizer, or the parameters too.
        gpu_memory_utilization: part of a device's memory that vLLM allows itself.
        mem_fraction_static: part of it that SGLang gives weights and pool; None for its default.
        max_num_seqs, max_num_batched_tokens: sequences and tokens of one of vLLM's steps; None for its defaults.
        cuda_graphs: whether vLLM compiles the model and captures graphs (without: `enforce_eager`).
        gpu_layers: layers on the GPU, the rest in the host's memory: llama.cpp's `-ngl`, the output being one;
            in transformers the first ones of accelerate's `device_map`; None for all.
        micro_batch: tokens llama.cpp computes at once (`-ub`).
        flash_attention: whether llama.cpp's attention runs in one kernel, without a matrix of scores.
        compute_capability: of the devices, where their engine chooses kernels by it; None where it is not known.
    """

    engine: str = "transformers"
    engine_version: str | None = None
    batch: int = 1
    context: int = DEFAULT_CONTEXT
    encoder_context: int | None = None
    images: int = 0
    image_size: str = "1024x1024"
    weight_dtype: str | None = None
    kv_dtype: str | None = None
    cache_policy: CachePolicy = CachePolicy.LOGICAL
    attention: AttentionCode = "sdpa"
    attention_kernels: AttentionKernels = "all"
    padded: bool = False
    full_logits: bool = False
    train: Training | None = None
    precision: Precision = "bf16"
    checkpointing: Checkpointing = "none"
    loss: Loss = "plain"
    optimizer: str = "adamw"
    rank: int = 16
    lora_targets: str = "attention"
    adapter_dtype: Literal["fp32", "model"] = "fp32"
    lora_dropout: float = 0.0
    dora: bool = False
    accumulation: int = 1
    tp: int = 1
    pp: int = 1
    ep: int = 1
    dp: int = 1
    cp: int = 1
    sequence_parallel: bool = False
    zero: int = 0
    offload: Literal["none", "optimizer", "parameters"] = "none"
    gpu_memory_utilization: float = 0.9
    mem_fraction_static: float | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    cuda_graphs: bool = True
    gpu_layers: int | None = None
    micro_batch: int = 512
    flash_attention: bool = True
    compute_capability: str | None = None

    def __post_init__(self) -> None:
        """Refuse counts that mean nothing.

        Raises:
            UsageError: a count that is not positive, or absurd.
        """
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and not 0 < value <= _LARGEST:
                raise UsageError(f"--{name.replace('_', '-')} must be a positive number, not {value}.")
        if not 0 <= self.images <= _LARGEST:
            raise UsageError(f"--images is a number of images, not {self.images}.")
        if not _SIZE.fullmatch(self.image_size):
            raise UsageError(
                f"--image-size is a width and a height such as 1280x720, not {self.image_size!r}."
            )
        for name in ("gpu_memory_utilization", "mem_fraction_static"):
            part = getattr(self, name)
            if part is not None and not 0 < part <= 1:
                raise UsageError(
                    f"--{name.replace('_', '-')} is a part of the whole, above 0 and at most 1, not {part:g}."
                )
        if self.zero not in (0, 1, 2, 3):
            raise UsageError(f"--zero is a stage from 0 to 3, not {self.zero}.")

    @property
    def mode(self) -> Mode:
        """Whether the model is run or trained."""
        return "training" if self.train else "inference"

    @property
    def image_pixels(self) -> tuple[int, int]:
        """Width and height of an image."""
        width, _, height = self.image_size.partition("x")
        return int(width), int(height)

    @property
    def devices(self) -> int:
        """How many devices share the work."""
        return self.tp * self.pp * self.dp * self.cp
