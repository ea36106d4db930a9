"""What contradicts itself is refused, and the refusal names both sides."""

from dataclasses import replace
from typing import Any

import pytest
from hubmem.errors import UsageError
from hubmem.memory.contradictions import refuse_contradictions
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload

from tests.memory.models import LLAMA, TENSORS, published


@pytest.mark.parametrize(
    ("workload", "sides"),
    [
        ({"zero": 3}, ("--zero 3", "--train")),
        ({"offload": "optimizer"}, ("--offload optimizer", "--train")),
        ({"accumulation": 4}, ("--accumulation 4", "--train")),
        ({"engine": "vllm", "train": "lora"}, ("--engine vllm", "--train lora")),
        ({"max_num_seqs": 8}, ("--max-num-seqs 8", "--engine is transformers")),
        ({"cuda_graphs": False, "engine": "llama.cpp"}, ("--enforce-eager", "--engine is llama.cpp")),
        ({"gpu_layers": 3, "engine": "vllm"}, ("--gpu-layers 3", "--engine is vllm")),
        ({"micro_batch": 64}, ("--ubatch-size 64", "--engine is transformers")),
        ({"engine": "llama.cpp", "tp": 4, "ep": 4}, ("--ep 4", "llama.cpp")),
        ({"engine": "vllm", "cp": 2}, ("--cp 2", "--engine vllm")),
        ({"train": "full", "zero": 1, "dp": 8, "ep": 8}, ("--zero 1", "--ep 8")),
        ({"mem_fraction_static": 0.8}, ("--mem-fraction-static 0.8", "--engine is transformers")),
        ({"sequence_parallel": True}, ("--sequence-parallel", "--tp is 1")),
        ({"train": "full", "offload": "optimizer"}, ("--offload optimizer", "--zero is 0")),
        (
            {"train": "full", "offload": "optimizer", "zero": 2, "optimizer": "adamw-8bit"},
            ("AdamW (8-bit)", "--offload optimizer"),
        ),
    ],
)
def test_both_sides_are_named(workload: dict[str, Any], sides: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        refuse_contradictions(Workload(**workload))
    assert all(side in str(refused.value) for side in sides)


@pytest.mark.parametrize(
    "workload",
    [
        {},
        {"engine": "vllm", "max_num_seqs": 8, "cuda_graphs": False, "tp": 8, "ep": 8},
        {"engine": "llama.cpp", "gpu_layers": 0, "micro_batch": 64, "flash_attention": False},
        {"gpu_layers": 3},
        {"train": "full", "zero": 3, "dp": 8, "offload": "parameters", "accumulation": 4},
        {"train": "full", "zero": 1, "tp": 8, "ep": 8, "dp": 2},
        {"engine": "sglang", "mem_fraction_static": 0.8},
        {"tp": 2, "sequence_parallel": True},
    ],
)
def test_what_belongs_together_is_planned(workload: dict[str, Any]) -> None:
    refuse_contradictions(Workload(**workload))


@pytest.mark.parametrize("model_type", ["albert", "xlnet", "ctrl", "jetmoe"])
def test_a_class_that_keeps_all_activations_cannot_be_asked_to_recompute(model_type: str) -> None:
    workload = Workload(train="full", checkpointing="full")
    with pytest.raises(UsageError, match=f"--checkpointing full: {model_type} has none"):
        plan_training(replace(LLAMA, model_type=model_type), TENSORS, workload)


def test_a_quantized_repo_cannot_be_quantized_again_for_qlora() -> None:
    with pytest.raises(
        UsageError, match=r"QLoRA quantizes a model itself, and .*qweight is quantized already"
    ):
        plan_training(*published("Qwen/Qwen2.5-7B-Instruct-AWQ"), Workload(train="qlora"))
