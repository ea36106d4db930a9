"""Which models can compute activations again instead of keeping them."""

from hubmem.errors import UsageError
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture

# Types whose classes leave `supports_gradient_checkpointing` at False (transformers 5.23).
_WITHOUT = frozenset({
    "albert", "cpmant", "ctrl", "flaubert", "fsmt", "funnel", "gpt_neox_japanese", "granite_speech",
    "granite_speech_plus", "ibert", "jetmoe", "mpnet", "openai-gpt", "perceiver", "pix2struct", "reformer",
    "squeezebert", "xlm", "xlnet",
})  # fmt: skip


def check_checkpointing(architecture: Architecture | None, workload: Workload) -> None:
    """Nothing, if the model's class can do what the workload asks.

    Raises:
        UsageError: it cannot, both named.
    """
    if workload.checkpointing == "none" or architecture is None:
        return
    if architecture.model_type in _WITHOUT:
        raise UsageError(
            f"--checkpointing {workload.checkpointing}: {architecture.model_type} has none in transformers"
            " (supports_gradient_checkpointing is False).",
            hint="Ask for --checkpointing none.",
        )
