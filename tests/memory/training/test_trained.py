"""What fine-tuning, LoRA and QLoRA hold of a model and train of it."""

from collections.abc import Mapping
from dataclasses import replace
from math import ceil

import pytest
from hubmem.errors import UsageError
from hubmem.memory.programs.linear import linear
from hubmem.memory.programs.tape import Adapters, Arithmetic, Extent, Storage, Tape, Trace, Value
from hubmem.memory.training.adapters import adapt
from hubmem.memory.training.trained import Regime, regime_of
from hubmem.memory.workload import Workload
from hubmem.weights.census import Census

from tests.memory.models import llama, published
from tests.weights.censuses import census_of

H, KV, F, V = 512, 256, 1024, 1000
LLAMA, TENSORS = llama(layers=4, hidden=H, heads=8, kv_heads=4, head_dim=64, mlp=F, vocabulary=V)
LORA = Workload(train="lora", rank=16, lora_targets="all-linear")
QLORA = replace(LORA, train="qlora")
MATRICES = {
    "q": (H, H),
    "k": (KV, H),
    "v": (KV, H),
    "o": (H, H),
    "gate": (F, H),
    "up": (F, H),
    "down": (H, F),
}


def _trained(workload: Workload, tensors: Census = TENSORS) -> int:
    return sum(each.elements for each in _regime(workload, tensors).trained)


def _regime(workload: Workload, tensors: Census = TENSORS) -> Regime:
    return regime_of(LLAMA, tensors, workload)


def _held(regime: Regime, name: str) -> int:
    return sum(regime.held(group) for group in TENSORS.groups if name in group.template)


@pytest.mark.parametrize("rank", [1, 8, 64])
def test_adapters_are_r_times_inputs_and_outputs_of_each_matrix(rank: int) -> None:
    assert _trained(replace(LORA, rank=rank)) == 4 * rank * sum(map(sum, MATRICES.values()))


def test_dora_trains_a_magnitude_for_each_output_besides() -> None:
    outputs = sum(shape[0] for shape in MATRICES.values())
    assert _trained(replace(LORA, dora=True)) - _trained(LORA) == 4 * outputs


def test_dropout_trains_nothing_more() -> None:
    assert _trained(replace(LORA, lora_dropout=0.1)) == _trained(LORA)


@pytest.mark.parametrize(
    ("targets", "names"),
    [("attention", "qkvo"), ("q_proj,v_proj", "qv"), ("o_proj", "o"), ("all-linear", None)],
)
def test_targets_are_the_ends_of_names(targets: str, names: str | None) -> None:
    chosen = [shape for name, shape in MATRICES.items() if names is None or name in names]
    assert _trained(replace(LORA, lora_targets=targets)) == 4 * 16 * sum(map(sum, chosen))


@pytest.mark.parametrize(("dtype", "itemsize"), [("fp32", 4), ("model", 2)])
def test_adapters_are_float32_unless_they_follow_the_model(dtype: str, itemsize: int) -> None:
    regime = _regime(replace(LORA, adapter_dtype=dtype))  # type: ignore[arg-type]
    assert {each.itemsize for each in regime.trained} == {itemsize}


def _mixture(experts: Mapping[str, tuple[int, ...]]) -> Census:
    """One layer of Mixtral 8x7B."""
    h, kv = 4096, 1024
    attention = {"q_proj": (h, h), "k_proj": (kv, h), "v_proj": (kv, h), "o_proj": (h, h)}
    shapes: dict[str, tuple[int, ...]] = {
        f"model.layers.0.self_attn.{name}.weight": shape for name, shape in attention.items()
    }
    return census_of(shapes | {f"model.layers.0.{name}": shape for name, shape in experts.items()})


FUSED = _mixture(
    {
        "mlp.gate.weight": (8, 4096),
        "mlp.experts.gate_up_proj": (8, 28672, 4096),
        "mlp.experts.down_proj": (8, 4096, 14336),
    }
)
APART = _mixture(
    {"block_sparse_moe.gate.weight": (8, 4096)}
    | {
        f"block_sparse_moe.experts.{i}.{name}.weight": (14336, 4096)
        for i in range(8)
        for name in ("w1", "w3")
    }
    | {f"block_sparse_moe.experts.{i}.w2.weight": (4096, 14336) for i in range(8)}
)


@pytest.mark.parametrize("tensors", [FUSED, APART], ids=["one parameter", "a matrix each"])
def test_all_linear_layers_of_mixtral_include_router_and_experts(tensors: Census) -> None:
    """peft 0.21 over transformers 5.23 trains 359,665,664 parameters of its 32 layers at rank 16."""
    assert adapt(tensors, "all-linear", experts=True).parameters(16) * 32 == 359_665_664


def test_experts_stay_as_they_are_where_peft_leaves_them() -> None:
    assert adapt(FUSED, "all-linear").parameters(16) == adapt(FUSED, "attention").parameters(16)


def test_qlora_packs_matrices_of_layers_with_a_scale_for_64_and_for_256_of_those() -> None:
    """Half a byte a weight, a byte a block of 64, four bytes for 256 blocks (Dettmers et al., 2305.14314).

    And for each matrix bitsandbytes' two tables of 16 and 256 codes, and an offset (functional.py, QuantState).
    """
    elements = H * F
    blocks = ceil(elements / 64)
    each = elements // 2 + blocks + 4 * ceil(blocks / 256)
    each += 4 * (16 + 256 + 1)
    assert _held(_regime(QLORA), "up_proj") == 4 * each


@pytest.mark.parametrize(("name", "elements"), [("embed_tokens", V * H), ("lm_head", V * H), ("norm", 9 * H)])
def test_qlora_leaves_embedding_head_and_norms_in_float32(name: str, elements: int) -> None:
    assert _held(_regime(QLORA), name) == 4 * elements


def test_lora_leaves_everything_in_the_models_dtype() -> None:
    assert _held(_regime(LORA), "") == 2 * TENSORS.parameters


def test_adapters_over_a_packed_model_leave_it_packed() -> None:
    """GPTQ, AWQ and bitsandbytes have layers that PEFT adapts as they are (peft 0.21, tuners/lora)."""
    architecture, tensors = published("Qwen/Qwen2.5-7B-Instruct-AWQ")
    assert sum(map(regime_of(architecture, tensors, LORA).held, tensors.groups)) == sum(
        group.nbytes for group in tensors.groups
    )


@pytest.mark.parametrize("workload", [LORA, Workload(train="full")])
def test_mxfp4_is_unpacked_to_be_trained(workload: Workload) -> None:
    architecture, tensors = published("openai/gpt-oss-20b")
    assert sum(map(regime_of(architecture, tensors, workload).held, tensors.groups)) == 2 * tensors.parameters


@pytest.mark.parametrize("name", ["openai/gpt-oss-20b", "Qwen/Qwen2.5-7B-Instruct-AWQ"])
def test_what_another_tool_has_packed_is_not_quantized_again(name: str) -> None:
    with pytest.raises(UsageError, match="quantized already"):
        regime_of(*published(name), QLORA)


def test_packed_weights_have_no_gradients() -> None:
    with pytest.raises(UsageError, match="needs weights with gradients"):
        regime_of(*published("Qwen/Qwen2.5-7B-Instruct-AWQ"), Workload(train="full"))


def test_a_model_that_bitsandbytes_has_stored_is_held_as_one_it_quantizes_itself() -> None:
    """Up to the quantization constants that it stores as JSON, a few bytes a matrix."""
    stored, itself = (
        sum(map(regime_of(*published(name), QLORA).held, published(name)[1].groups))
        for name in ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", "meta-llama/Llama-3.1-8B-Instruct")
    )
    assert stored == pytest.approx(itself, rel=2e-5)


def _layer(arithmetic: Arithmetic) -> Trace:
    """A linear layer from 4,096 to 14,336, alone on a tape."""
    tape = Tape(arithmetic)
    x = Value(Storage("x", "h", 4096, 4), 4096, needs_grad=True)
    return tape.finish(linear(tape, x, "up_proj", "f", 14336))


def _once(storages: tuple[Storage, ...]) -> int:
    return sum(s.each for s in storages if s.extent is Extent.ONCE)


def test_a_4_bit_matrix_is_made_whole_in_bf16_forward_and_backward_and_kept_by_neither() -> None:
    quantized = Arithmetic(itemsize=4, autocast=True, trains=True, quantized=True)
    trace, elements = _layer(quantized), 4096 * 14336
    assert trace.kept == ()
    assert max(_once(alive.storages) for alive in trace.forward) == 2 * elements
    # Backward its scales are made whole too, a float32 for 64 weights.
    assert max(_once(alive.storages) for alive in trace.backward) == 2 * elements + 4 * elements // 64


def test_dropout_of_an_adapters_input_keeps_a_byte_an_element() -> None:
    adapters = Adapters(rank=16, itemsize=4, targets=frozenset({"up_proj"}))
    plain, dropping = (
        _layer(Arithmetic(itemsize=2, autocast=True, trains=True, adapters=each))
        for each in (adapters, replace(adapters, drops=True))
    )
    assert _kept(dropping) - _kept(plain) == 4096


def test_dora_keeps_both_results_that_its_magnitude_scales() -> None:
    adapters = Adapters(rank=16, itemsize=4, targets=frozenset({"up_proj"}))
    plain, decomposed = (
        _layer(Arithmetic(itemsize=2, autocast=True, trains=True, adapters=each))
        for each in (adapters, replace(adapters, dora=True))
    )
    assert _kept(decomposed) - _kept(plain) == 2 * 14336 * 2


def test_doras_norms_take_the_matrix_in_float32_several_times_over() -> None:
    adapters = Adapters(rank=16, itemsize=4, targets=frozenset({"up_proj"}), dora=True)
    trace = _layer(Arithmetic(itemsize=2, autocast=True, trains=True, adapters=adapters))
    norms = max(_once(alive.storages) for alive in trace.forward)
    assert norms >= 4 * 4 * 4096 * 14336


def _kept(trace: Trace) -> int:
    return sum(storage.each for storage in trace.kept if storage.extent is not Extent.ONCE)
