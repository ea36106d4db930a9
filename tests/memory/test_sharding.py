"""What one of several ranks holds and sees of a model, and divisions that a model cannot have."""

from dataclasses import replace

import pytest
from hubmem.errors import UsageError
from hubmem.memory.sharding import Split, legal_tp, ranks, split_of, stage_bounds, stages
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Dense, Experts, Layer
from hubmem.models.mixers import Attention, Indexer, Kept, LatentAttention, Mixer, Recurrent
from hubmem.weights.census import Census, TensorGroup, fold_file
from hubmem.weights.roles import role_of
from hubmem.weights.safetensors import Tensor

from tests.memory.models import llama, published
from tests.weights.censuses import census_of

LLAMA, TENSORS = llama()


def _bytes(workload: Workload, architecture: Architecture | None = LLAMA, tensors: Census = TENSORS) -> int:
    return max(rank.nbytes(_size) for rank in ranks(architecture, tensors, workload))


def _size(group: TensorGroup) -> int:
    return group.nbytes


@pytest.mark.parametrize(
    ("template", "shape", "split"),
    [
        ("model.layers.{0..1}.self_attn.q_proj.weight", (64, 64), Split.EVENLY),
        ("model.layers.{0..1}.self_attn.k_proj.weight", (16, 64), Split.KV_HEADS),
        ("model.layers.{0..1}.self_attn.v_proj.bias", (16,), Split.KV_HEADS),
        ("model.layers.{0..1}.self_attn.o_proj.bias", (64,), Split.WHOLE),
        ("model.layers.{0..1}.self_attn.qkv_proj.weight", (96, 64), Split.FUSED_QKV),
        ("transformer.h.{0..1}.self_attention.query_key_value.weight", (96, 64), Split.FUSED_QKV),
        ("transformer.h.{0..1}.attn.c_attn.weight", (64, 192), Split.FUSED_QKV),
        ("model.layers.{0..1}.self_attn.kv_a_proj_with_mqa.weight", (576, 64), Split.WHOLE),
        ("model.layers.{0..1}.self_attn.kv_b_proj.weight", (64, 512), Split.EVENLY),
        ("model.layers.{0..1}.self_attn.q_norm.weight", (64,), Split.WHOLE),
        ("model.layers.{0..1}.mlp.down_proj.weight", (64, 256), Split.EVENLY),
        ("model.layers.{0..1}.mlp.experts.{0..7}.up_proj.weight", (64, 64), Split.EXPERTS),
        ("model.layers.{0..1}.mlp.gate.weight", (8, 64), Split.WHOLE),
        ("model.layers.{0..1}.mlp.shared_experts.up_proj.weight", (64, 64), Split.EVENLY),
        ("model.embed_tokens.weight", (1000, 64), Split.VOCABULARY),
        ("transformer.wpe.weight", (1024, 64), Split.WHOLE),
        ("lm_head.weight", (1000, 64), Split.VOCABULARY),
    ],
)
def test_a_tensor_is_split_by_its_role(template: str, shape: tuple[int, ...], split: Split) -> None:
    assert split_of(template, role_of(template, shape)) is split


def test_one_rank_holds_everything_of_an_undivided_model() -> None:
    assert _bytes(Workload()) == TENSORS.stored_bytes


def test_norms_are_on_every_rank_and_matrices_on_one_each() -> None:
    norms = 2 * (80 * 2 + 1) * 8192
    assert _bytes(Workload(tp=4)) == (TENSORS.stored_bytes - norms) // 4 + norms


def test_a_tensor_of_nothing_is_divided_into_nothing() -> None:
    empty = replace(
        TENSORS, groups=fold_file([Tensor("model.embed_tokens.weight", "BF16", (0, 64))], "model.safetensors")
    )
    assert _bytes(Workload(tp=4), None, empty) == 0


def test_kv_heads_are_copied_where_there_are_more_ranks_than_heads() -> None:
    beyond = _bytes(Workload(tp=16)) - _bytes(Workload(tp=32)) * 2
    norms = 2 * (80 * 2 + 1) * 8192
    keys_and_values = 80 * 2 * (128 * 8192) * 2
    assert beyond == -norms - keys_and_values


def test_a_vocabulary_is_filled_up_before_it_is_split() -> None:
    gpt = census_of({"transformer.wte.weight": (50257, 768)})
    assert _bytes(Workload(tp=2), None, gpt) == 50304 // 2 * 768 * 2


def test_stages_hold_their_layers_and_their_end() -> None:
    first, last = (rank.nbytes(_size) for rank in ranks(LLAMA, TENSORS, Workload(pp=2)))
    assert first + last == TENSORS.stored_bytes
    assert last - first == 2 * 8192


def test_a_tied_embedding_is_at_both_ends() -> None:
    tied, tensors = llama(tied=True)
    first, last = (rank.nbytes(_size) for rank in ranks(tied, tensors, Workload(pp=2)))
    assert first + last == tensors.stored_bytes + 2 * 128256 * 8192


def test_layers_beyond_the_model_s_own_are_on_the_last_stage() -> None:
    architecture, tensors = published("deepseek-ai/DeepSeek-V3")
    held = [rank.nbytes(_size) for rank in ranks(architecture, tensors, Workload(pp=4))]
    assert sum(held) == tensors.stored_bytes


def test_uneven_stages_put_the_extra_layer_first() -> None:
    assert [len(stage.layers) for stage in stages(stage_bounds(80, Workload(pp=3)))] == [27, 27, 26]


def test_whole_experts_go_to_expert_parallel_ranks() -> None:
    part = Experts(count=8, active=2, width=256, shared_width=0, gated=True)
    mixture = replace(LLAMA, layers=(Layer(mixers=LLAMA.layers[0].mixers, feed_forward=part),) * 2)
    experts = census_of(
        {f"model.layers.{i}.mlp.experts.{j}.up_proj.weight": (256, 64) for i in (0, 1) for j in range(8)}
    )
    (rank,) = ranks(mixture, experts, Workload(tp=4, ep=4))
    assert rank.nbytes(_size) == experts.stored_bytes // 4
    assert rank.architecture is not None
    assert rank.architecture.feed_forward == replace(part, count=2)


@pytest.mark.parametrize(
    ("workload", "count", "width", "shared_width"),
    [
        (Workload(tp=4), 8, 64, 32),
        (Workload(tp=4, ep=2), 4, 128, 32),
        (Workload(tp=2, dp=2, ep=4), 2, 256, 64),
        (Workload(tp=2, pp=2, ep=2), 4, 256, 64),
    ],
)
def test_ranks_left_over_by_expert_parallelism_split_each_expert(
    workload: Workload, count: int, width: int, shared_width: int
) -> None:
    part = Experts(count=8, active=2, width=256, shared_width=128, gated=True)
    mixture = replace(LLAMA, layers=(Layer(mixers=LLAMA.layers[0].mixers, feed_forward=part),) * 2)
    experts = census_of({f"model.layers.{i}.mlp.experts.up_proj": (8, 256, 64) for i in (0, 1)})
    rank = next(ranks(mixture, experts, workload))
    assert rank.architecture is not None
    assert rank.architecture.feed_forward == replace(
        part, count=count, width=width, shared_width=shared_width
    )
    layers_here = 2 // workload.pp
    assert rank.nbytes(_size) == layers_here * count * width * 64 * 2


@pytest.mark.parametrize(
    ("heads", "kv_heads", "tp", "queries", "keys_and_values"),
    [(4, 4, 2, 2, 4), (8, 1, 2, 4, 2), (8, 2, 8, 1, 2)],
)
def test_fused_queries_keys_and_values_are_split_by_heads(
    heads: int, kv_heads: int, tp: int, queries: int, keys_and_values: int
) -> None:
    architecture, _ = llama(layers=1, heads=heads, kv_heads=kv_heads)
    fused = census_of({"transformer.h.0.self_attention.query_key_value.weight": (heads + 2 * kv_heads, 64)})
    assert _bytes(Workload(tp=tp), architecture, fused) == (queries + keys_and_values) * 64 * 2


def test_expert_parallelism_leaves_what_is_beside_the_experts_to_tensor_parallelism() -> None:
    part = Experts(count=8, active=2, width=256, shared_width=0, gated=True)
    mixture = replace(LLAMA, layers=(Layer(mixers=LLAMA.layers[0].mixers, feed_forward=part),))
    beside = census_of({"model.layers.0.self_attn.q_proj.weight": (64, 64)})
    assert _bytes(Workload(tp=2, dp=2, ep=4), mixture, beside) == beside.stored_bytes // 2


def test_a_scalar_that_is_called_an_output_head_counts_as_one_row() -> None:
    assert _bytes(Workload(tp=2), None, census_of({"lm_head.weight": ()})) == 64 * 2


def test_a_rank_counts_the_chosen_groups_alone() -> None:
    (rank,) = ranks(LLAMA, TENSORS, Workload())
    chosen = rank.nbytes(_size, lambda group: group.template == "model.norm.weight")
    assert chosen == 2 * 8192


def _seen(mixer: Mixer, tp: int) -> Mixer:
    layer = Layer(mixers=(mixer,), feed_forward=None)
    rank = next(ranks(replace(LLAMA, layers=(layer,)), TENSORS, Workload(tp=tp)))
    assert rank.architecture is not None
    return rank.architecture.layers[0].mixers[0]


@pytest.mark.parametrize(
    ("mixer", "on_one_of_four"),
    [
        (
            Attention(heads=16, kv_heads=8, key_dim=64, value_dim=64),
            Attention(heads=4, kv_heads=2, key_dim=64, value_dim=64),
        ),
        (
            Attention(heads=16, kv_heads=1, key_dim=64, value_dim=64, cached_heads=16),
            Attention(heads=4, kv_heads=1, key_dim=64, value_dim=64, cached_heads=4),
        ),
        (
            LatentAttention(heads=16, latent_dim=512, rope_dim=64, key_dim=192, value_dim=128),
            LatentAttention(heads=4, latent_dim=512, rope_dim=64, key_dim=192, value_dim=128),
        ),
        (
            Recurrent(name="mamba2", state=Kept(cached=8, model=9, float32=11)),
            Recurrent(name="mamba2", state=Kept(cached=2, model=3, float32=3)),
        ),
        (
            Recurrent(name="mamba2", state=Kept(cached=9, model=8, float32=8)),
            Recurrent(name="mamba2", state=Kept(cached=3, model=2, float32=2)),
        ),
        (Indexer(dim=128), Indexer(dim=128)),
    ],
)
def test_a_rank_sees_its_part_of_what_a_layer_mixes_tokens_with(mixer: Mixer, on_one_of_four: Mixer) -> None:
    assert _seen(mixer, 4) == on_one_of_four
    assert _seen(mixer, 1) == mixer


def test_a_stage_sees_its_layers_and_of_each_its_part() -> None:
    for rank in ranks(LLAMA, TENSORS, Workload(tp=2, pp=2)):
        assert rank.architecture is not None
        assert len(rank.architecture.layers) == 40
        assert rank.architecture.feed_forward == Dense(width=28672 // 2, gated=True)


@pytest.mark.parametrize(
    ("tp", "named"),
    [
        (3, "64 attention heads cannot be split over 3 ranks"),
        (128, "64 attention heads cannot be split over 128"),
    ],
)
def test_a_refusal_names_both_values(tp: int, named: str) -> None:
    assert named in (legal_tp(LLAMA, TENSORS, tp) or "")


@pytest.mark.parametrize("tp", [1, 2, 4, 8, 16, 32, 64])
def test_powers_of_two_up_to_the_heads_are_legal(tp: int) -> None:
    assert legal_tp(LLAMA, TENSORS, tp) is None


def test_unknown_layers_are_judged_by_their_shapes() -> None:
    odd = census_of({"blocks.{0}.mlp.fc1.weight": (7, 9)})
    assert "cannot be split over 2 ranks" in (legal_tp(None, odd, 2) or "")
    assert legal_tp(None, TENSORS, 2) is None


@pytest.mark.parametrize("shape", [(7, 8), (8, 7), (7,)])
def test_one_even_side_is_enough_and_a_vector_is_no_obstacle(shape: tuple[int, ...]) -> None:
    assert legal_tp(None, census_of({"blocks.0.mlp.fc1.weight": shape}), 2) is None


def test_the_width_of_an_mlp_must_divide() -> None:
    odd = replace(LLAMA, layers=(replace(LLAMA.layers[0], feed_forward=Dense(width=28671, gated=True)),))
    assert legal_tp(odd, TENSORS, 2) == "An MLP width of 28,671 cannot be split over 2 ranks."


def test_kv_heads_must_divide_or_be_divided() -> None:
    three, _ = llama(layers=1, heads=12, kv_heads=3, mlp=1536)
    assert "3 KV heads can neither be split over 2 ranks" in (legal_tp(three, TENSORS, 2) or "")
    assert legal_tp(three, TENSORS, 3) is None
    assert legal_tp(three, TENSORS, 6) is None


@pytest.mark.parametrize(
    ("workload", "named"),
    [
        (Workload(pp=81), "80 layers cannot be put into 81"),
        (Workload(tp=2, ep=2), "llama has no experts"),
    ],
)
def test_a_division_the_model_cannot_have_is_refused(workload: Workload, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        next(ranks(LLAMA, TENSORS, workload))


def test_every_layer_may_be_a_stage_of_its_own() -> None:
    assert len(list(ranks(LLAMA, TENSORS, Workload(pp=80)))) == 80


def test_unknown_layers_are_put_into_no_stages() -> None:
    with pytest.raises(UsageError, match="Layers of an unknown model type"):
        next(ranks(None, TENSORS, Workload(pp=2)))


@pytest.mark.parametrize(
    ("workload", "named"),
    [
        (Workload(tp=4, ep=4), "6 experts cannot be split over 4 ranks"),
        (Workload(tp=1, dp=2, ep=3), "3 expert-parallel ranks are more than the 2 of TP × DP"),
        (Workload(tp=2, dp=1, ep=3), "3 expert-parallel ranks are more than the 2 of TP × DP"),
    ],
)
def test_experts_are_divided_over_ranks_that_there_are(workload: Workload, named: str) -> None:
    part = Experts(count=6, active=2, width=256, shared_width=0, gated=True)
    dense, sparse = LLAMA.layers[0], replace(LLAMA.layers[0], feed_forward=part)
    with pytest.raises(UsageError, match=named):
        next(ranks(replace(LLAMA, layers=(dense, sparse)), TENSORS, workload))
