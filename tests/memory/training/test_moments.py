"""Which moment of a step is its largest, and what is there at it."""

from dataclasses import replace
from typing import Any

import pytest
from hubmem.memory.plan import Plan
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Checkpointing, Precision, Workload
from hubmem.models.architecture import Architecture
from hubmem.weights.census import Census

from tests.memory.models import llama
from tests.truth.training import model

Model = tuple[Architecture, Census]

SIZES: dict[str, Any] = {
    "layers": 16,
    "hidden": 2048,
    "heads": 32,
    "kv_heads": 8,
    "head_dim": 64,
    "mlp": 8192,
}
TIED, UNTIED = llama(**SIZES, tied=True), llama(**SIZES)
NARROW = llama(**SIZES | {"layers": 4}, vocabulary=100)
STEP = Workload(train="full", batch=4, context=2048)
SHORT = replace(STEP, batch=1, context=64)
PARAMETERS = TIED[1].parameters


def _plan(workload: Workload) -> Plan:
    return plan_training(*TIED, workload)


def _term(plan: Plan, name: str) -> int:
    return sum(term.nbytes for term in plan.terms if term.name == name)


@pytest.mark.parametrize(
    ("model", "workload", "phase", "moment"),
    [
        (TIED, STEP, "backward", "loss: log softmax, backward"),
        (TIED, replace(STEP, precision="amp"), "backward", "loss: log softmax, backward"),
        (TIED, replace(STEP, checkpointing="full"), "backward", "loss: log softmax, backward"),
        (TIED, SHORT, "backward", "embedding: embedding, sum of gradients"),
        (UNTIED, SHORT, "backward", "embedding: embedding, backward"),
        (TIED, replace(SHORT, optimizer="adamw-foreach"), "step", "optimizer"),
        (TIED, replace(SHORT, optimizer="adafactor"), "step", "optimizer"),
        (NARROW, replace(STEP, optimizer="sgd"), "backward", "loss: x², backward"),
        (
            TIED,
            replace(STEP, attention="eager", batch=1, context=8192),
            "backward",
            "decoder layer: softmax, backward",
        ),
    ],
    ids=["logits", "autocast", "checkpoints", "tied", "untied", "foreach", "adafactor", "layer", "scores"],
)
def test_what_decides_depends_on_the_workload(
    model: Model, workload: Workload, phase: str, moment: str
) -> None:
    deciding = plan_training(*model, workload).deciding
    assert (deciding.phase, deciding.name) == (phase, moment)


def test_the_loss_holds_twelve_bytes_a_logit() -> None:
    """Log-probabilities in float32 and two gradients of them (transformers' ForCausalLMLoss)."""
    models = (llama(**SIZES, vocabulary=size) for size in (128_256, 128_000))
    wide, narrow = (plan_training(*model, STEP).deciding for model in models)
    assert wide.name == narrow.name == "loss: log softmax, backward"
    states = 256 * 2048 * 2 * (2 + 4)
    assert wide.nbytes - narrow.nbytes == 4 * 2048 * 256 * 12 + states


def test_a_tied_embeddings_two_gradients_are_summed_in_a_third() -> None:
    table = 128_256 * 2048 * 2
    tied = _plan(SHORT).deciding
    assert tied.nbytes == pytest.approx((2 + 4 + 2) * PARAMETERS + 2 * table, rel=1e-3)


def test_gradients_of_earlier_micro_batches_stand_beside_the_activations() -> None:
    once, twice = _plan(STEP), _plan(replace(STEP, accumulation=2))
    assert twice.allocated_bytes - once.allocated_bytes == 2 * PARAMETERS
    assert _plan(replace(STEP, accumulation=8)).allocated_bytes == twice.allocated_bytes


def test_foreach_takes_a_copy_of_all_second_moments() -> None:
    fused, foreach = (
        _plan(replace(SHORT, optimizer=name)).peaks["step"] for name in ("adamw", "adamw-foreach")
    )
    assert foreach - fused == 2 * PARAMETERS


@pytest.mark.parametrize(("precision", "scratch"), [("bf16", 16), ("fp32", 8)])
def test_adafactor_makes_float32_copies_of_one_tensor_at_a_time(precision: Precision, scratch: int) -> None:
    workload = replace(SHORT, optimizer="adafactor", precision=precision)
    step = next(moment for moment in _plan(workload).moments if moment.phase == "step")
    made = sum(term.nbytes for term in step.terms if term.name == "optimizer's scratch")
    assert made == scratch * 128_256 * 2048


@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_fewer_vocabulary_rows_move_the_peak_away_from_the_loss(checkpointing: Checkpointing) -> None:
    workload = replace(STEP, optimizer="sgd", checkpointing=checkpointing)
    # To a layer's backward, or to that of the last norm, while all layers still keep what theirs need.
    assert plan_training(*NARROW, workload).deciding.name.startswith(("decoder layer", "loss: x²"))


def test_selective_checkpointing_drops_the_scores_alone() -> None:
    """What Korthikanti et al. (arXiv 2205.05198, section 5) make again: the tensors of a·b·s² elements."""
    eager = replace(STEP, attention="eager")
    none, selective, full = (
        _term(_plan(replace(eager, checkpointing=which)), "activations kept")
        for which in ("none", "selective", "full")
    )
    pairs = 16 * 32 * 4 * 2048**2
    assert none - selective == 6 * pairs
    assert full < selective


def test_checkpointing_under_a_fused_kernel_has_no_scores_to_drop() -> None:
    fused = (_plan(replace(STEP, checkpointing=which)) for which in ("none", "selective"))
    assert len({plan.allocated_bytes for plan in fused}) == 1


def test_autocast_keeps_a_bf16_copy_of_every_matrix_until_the_loss() -> None:
    """The copies are weights of layers and head, two bytes each; checkpoints keep the head's alone."""
    table = 128_256 * 2048
    plans = {
        which: _plan(replace(STEP, batch=1, context=1, precision="amp", checkpointing=which))
        for which in ("none", "full")
    }
    kept = {which: _moment_kept(plan, "loss") for which, plan in plans.items()}
    assert kept["none"] == pytest.approx(2 * (PARAMETERS - table), rel=0.01)
    assert kept["full"] < 0.01 * kept["none"]


def _moment_kept(plan: Plan, name: str) -> int:
    backward = next(m for m in plan.moments if m.phase == "backward" and m.name.startswith(name))
    return sum(term.nbytes for term in backward.terms if term.name == "activations kept")


@pytest.mark.parametrize("more", [{"padded": True}, {"attention": "eager"}, {"batch": 5}, {"context": 2049}])
def test_more_to_hold_is_more_memory(more: dict[str, Any]) -> None:
    assert _plan(replace(STEP, **more)).allocated_bytes > _plan(STEP).allocated_bytes


@pytest.mark.parametrize(("precision", "itemsize"), [("bf16", 2), ("amp", 2), ("fp32", 4)])
def test_gradients_of_weights_all_layers_share_are_summed_in_the_dtype_they_are_made_in(
    precision: Precision, itemsize: int
) -> None:
    architecture, census = model("albert-base", "F32")
    plan = plan_training(architecture, census, replace(SHORT, precision=precision))
    (moment,) = (m for m in plan.moments if m.phase == "backward" and m.name.startswith("decoder layer"))
    waiting = sum(term.nbytes for term in moment.terms if term.name == "gradients")
    shared = sum(group.parameters for group in census.groups if "albert_layers" in group.template)
    table = sum(group.parameters for group in census.find("word_embeddings.weight"))
    own = 4 if precision == "amp" else itemsize
    assert waiting == pytest.approx(itemsize * shared + own * table, rel=0.05)
