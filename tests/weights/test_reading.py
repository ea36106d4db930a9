"""From files to a census: every part read once, nothing read twice, and what does not agree is said."""

import json
from typing import Any

import pytest
from hubmem.errors import MalformedWeights
from hubmem.weights.census import Census
from hubmem.weights.layout import Selection, choose
from hubmem.weights.reading import largest, read_census, read_weights

from tests.weights.memory_source import MemorySource, MemoryStore, header, safetensors_file
from tests.weights.records import ROOT

INDEX = "model.safetensors.index.json"
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
ONE_BIN, TWO_BIN = "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"
FIRST = [
    ("model.embed_tokens.weight", "BF16", (100, 8)),
    ("model.layers.0.mlp.up_proj.weight", "BF16", (16, 8)),
]
SECOND = [("lm_head.weight", "BF16", (100, 8))]
BYTES = 2 * (800 + 128 + 800)


def index(total: int = BYTES, more: dict[str, str] | None = None) -> bytes:
    names = {name: ONE for name, _, _ in FIRST} | {name: TWO for name, _, _ in SECOND} | (more or {})
    return json.dumps({"metadata": {"total_size": total}, "weight_map": names}).encode()


def sharded(index_text: bytes | None = None, **options: Any) -> MemorySource:
    files: dict[str, bytes | tuple[bytes, int]]
    files = {INDEX: index_text or index(), ONE: safetensors_file(*FIRST), TWO: safetensors_file(*SECOND)}
    return MemorySource(files, **options)


def read(source: MemorySource) -> Census:
    return read_census(source, choose(source.listing().files))


ONE_CALL = {
    "index": {"metadata": {"total_size": BYTES}},
    "headers": {ONE: header(*FIRST), TWO: header(*SECOND)},
}


@pytest.mark.parametrize("one_call", [None, ONE_CALL])
def test_shards_are_read_by_one_call_or_by_ranges_with_the_same_result(one_call: Any) -> None:
    census = read(sharded(one_call=one_call))
    assert (census.tensors, census.stored_bytes, census.files) == (3, BYTES, 2)
    assert (census.format, census.basis, census.notes) == ("safetensors", "headers", ())


def test_a_shard_s_header_is_read_in_one_range_sized_by_the_index() -> None:
    source = sharded()
    read(source)
    assert source.asked == [f"one call for {INDEX}", INDEX, ONE, TWO]
    assert source.bytes_read < 2000


def test_a_second_run_reads_nothing_but_says_the_same() -> None:
    store = MemoryStore()
    first = read(sharded(index(total=7), store=store))
    source = sharded(index(total=7), store=store)
    assert read(source) == first
    assert first.notes
    assert source.asked == []


def test_the_answer_of_one_call_is_kept_for_the_next_run() -> None:
    store = MemoryStore()
    first = read(sharded(one_call=ONE_CALL, store=store))
    source = sharded(store=store)
    assert read(source) == first
    assert source.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        {"index": {}, "headers": {}},
        {"index": {}, "headers": []},
        {"headers": {ONE: header(*FIRST), "model-00003-of-00003.safetensors": header(*SECOND)}},
        {"headers": {ONE: header(*FIRST, ("more.weight", "F32", (99, 99))), TWO: header(*SECOND)}},
    ],
)
def test_an_answer_that_speaks_of_other_files_is_set_aside(answer: Any) -> None:
    assert read(sharded(one_call=answer)).stored_bytes == BYTES


def test_an_index_that_claims_another_size_is_noted_and_not_believed() -> None:
    """ZonglinY/MOOSE-Star-R1D-7B claims 333,312 parameters of 7,615,616,512."""
    census = read(sharded(index(total=333_312)))
    assert census.stored_bytes == BYTES
    assert census.notes == (f"{INDEX} claims 333,312 bytes in all; the tensors take {BYTES:,}.",)


def test_an_index_that_names_other_tensors_than_its_shards_hold_is_noted() -> None:
    more = {"ghost.weight": TWO}
    assert read(sharded(index(more=more))).notes == (f"{INDEX} names 2 tensors in {TWO}, which holds 1.",)


def test_a_shard_that_is_not_there_is_named() -> None:
    more = {"ghost.weight": "model-00003-of-00003.safetensors"}
    with pytest.raises(
        MalformedWeights, match=rf"^{INDEX}: it names model-00003-of-00003\.safetensors, which the repo"
    ):
        read(sharded(index(more=more)))


def test_a_pipeline_is_the_sum_of_its_components_all_asked_for_at_once() -> None:
    source = MemorySource(
        {
            "model_index.json": json.dumps(
                {
                    "unet": ["diffusers", "UNet2DConditionModel"],
                    "vae": ["diffusers", "AutoencoderKL"],
                    "tokenizer": ["t", "T"],
                }
            ).encode(),
            "unet/diffusion_pytorch_model.safetensors": safetensors_file(
                ("conv_in.weight", "F32", (8, 4, 3, 3))
            ),
            "vae/diffusion_pytorch_model.safetensors": safetensors_file(
                ("encoder.conv_in.weight", "F32", (8, 3, 3, 3))
            ),
            "tokenizer/vocab.json": b"{}",
        }
    )
    weights = read_weights(source)
    assert [(part.name, part.kind, part.census.parameters) for part in weights.parts] == [
        ("unet", "UNet2DConditionModel", 288),
        ("vae", "AutoencoderKL", 216),
    ]
    assert weights.census.parameters == 288 + 216
    assert weights.census.files == 2


def pipeline_of(quantized: dict[str, Any] | None) -> MemorySource:
    """Flux with its transformer in NF4: matrices in bytes of two weights, and their scales."""
    packed = [
        ("transformer_blocks.0.attn.to_q.weight", "U8", (64 * 64 // 2, 1)),
        ("transformer_blocks.0.attn.to_q.weight.absmax", "F32", (64,)),
        ("transformer_blocks.0.attn.to_q.bias", "BF16", (64,)),
    ]
    return MemorySource(
        {
            "model_index.json": json.dumps(
                {
                    "transformer": ["diffusers", "FluxTransformer2DModel"],
                    "vae": ["diffusers", "AutoencoderKL"],
                }
            ).encode(),
            "transformer/config.json": json.dumps({"quantization_config": quantized}).encode(),
            "transformer/diffusion_pytorch_model.safetensors": safetensors_file(*packed),
            "vae/config.json": b"{}",
            "vae/diffusion_pytorch_model.safetensors": safetensors_file(
                ("encoder.conv_in.weight", "F32", (8, 3, 3, 3)), ("steps", "I64", (4,))
            ),
        }
    )


def test_a_quantized_component_is_unpacked_by_its_own_config_which_is_asked_for_only_then() -> None:
    source = pipeline_of({"quant_method": "bitsandbytes", "load_in_4bit": True})
    weights = read_weights(source)
    assert [part.census.parameters for part in weights.parts] == [64 * 64 + 64, 216]
    assert [part.census.buffers for part in weights.parts] == [0, 4]
    assert weights.census.parameters == 64 * 64 + 64 + 216
    assert "transformer/config.json" in source.asked
    assert largest(weights.parts) is weights.parts[0]


def test_modules_of_an_embedding_model_are_no_pipeline() -> None:
    modules = [{"path": "", "type": "m.Transformer"}, {"path": "2_Dense", "type": "m.Dense"}]
    source = MemorySource(
        {
            "modules.json": json.dumps(modules).encode(),
            "model.safetensors": safetensors_file(*SECOND),
            "2_Dense/model.safetensors": safetensors_file(("linear.weight", "F32", (8, 8))),
        }
    )
    weights = read_weights(source)
    assert [(part.name, part.kind) for part in weights.parts] == [("", "Transformer"), ("2_Dense", "Dense")]
    assert largest(weights.parts) is None


def test_a_component_that_is_sharded_is_read_by_its_index() -> None:
    source = MemorySource(
        {
            "model_index.json": json.dumps({"a": ["x", "A"], "b": ["x", "B"]}).encode(),
            f"a/{INDEX}": index(),
            f"a/{ONE}": safetensors_file(*FIRST),
            f"a/{TWO}": safetensors_file(*SECOND),
            "b/model.safetensors": safetensors_file(*SECOND),
        }
    )
    weights = read_weights(source)
    assert [part.census.stored_bytes for part in weights.parts] == [BYTES, 1600]
    assert read_weights(source, Selection(subfolder="a")).census.stored_bytes == BYTES


def test_a_plain_repo_has_no_parts_and_costs_no_more() -> None:
    source = MemorySource({"model.safetensors": safetensors_file(*SECOND), "config.json": b"{}"})
    weights = read_weights(source)
    assert (weights.parts, weights.layout.folder, weights.census.parameters) == ((), "", 800)
    assert source.asked == ["model.safetensors"]


def gguf_files() -> dict[str, tuple[bytes, int]]:
    folder = ROOT / "fixtures" / "formats" / "gguf"
    truth = json.loads((folder.parent / "gguf.json").read_text(encoding="utf-8"))
    names = ("split-00001-of-00002.gguf", "split-00002-of-00002.gguf")
    # The files end with their headers; what is read beyond them is filled up.
    return {
        name: ((folder / name).read_bytes() + b"\0" * 10**5, truth[name]["file_nbytes"]) for name in names
    }


def test_a_split_gguf_file_is_one_model_with_the_config_in_its_first_part() -> None:
    store = MemoryStore()
    first = read(MemorySource(gguf_files(), store=store))
    assert (first.format, first.basis, first.files, first.tensors) == ("gguf", "gguf", 2, 6)
    assert first.config is not None
    assert (first.config["model_type"], first.config["num_key_value_heads"]) == ("llama", 2)
    assert first.by_dtype() == {"Q8_0": 6 * 8 * 256}
    assert first.stored_bytes == 6 * 2176

    again = MemorySource(gguf_files(), store=store)
    assert read(again) == first
    assert again.asked == []


def test_a_sharded_repo_of_pickled_files_costs_one_read_a_file() -> None:
    folder = ROOT / "fixtures" / "formats" / "torch"
    names = {"model.embed_tokens.weight": ONE_BIN, "first": TWO_BIN}
    source = MemorySource(
        {
            "pytorch_model.bin.index.json": json.dumps({"weight_map": names}).encode(),
            ONE_BIN: (folder / "plain.bin").read_bytes(),
            TWO_BIN: (folder / "views.bin").read_bytes(),
        },
        store=MemoryStore(),
    )
    census = read(source)
    assert source.asked == ["pytorch_model.bin.index.json", ONE_BIN, TWO_BIN]
    assert (census.format, census.basis, census.files) == ("torch", "pickle", 2)
    # Tied weights, and views into storages that others cover, are counted and loaded once.
    assert census.parameters == (40 + 3 * 32) + 24
    assert census.buffers == 2
    assert census.loaded_bytes == 40 * 4 + 3 * 32 * 2 + 2 * 4 + 24 * 4
