"""What a user writes, read before anything is asked of the Hub."""

import pytest
from hubmem.errors import UsageError
from hubmem.fit.gpus import USUAL
from hubmem.memory.workload import DEFAULT_CONTEXT
from hubmem.models.architecture import Architecture
from hubmem.request import Request


def model(max_context: int | None) -> Architecture:
    return Architecture(
        model_type="x",
        class_name=None,
        hidden_size=1,
        vocab_size=1,
        max_context=max_context,
        dtype=None,
        tied_embeddings=False,
        layers=(),
    )


@pytest.mark.parametrize(
    ("asked", "limit", "settled"),
    [
        (None, 131_072, DEFAULT_CONTEXT),
        (None, 512, 512),
        (None, None, DEFAULT_CONTEXT),
        (32_768, 512, 32_768),
        (100, 131_072, 100),
    ],
)
def test_an_asked_length_stands_and_the_default_ends_where_the_model_does(asked, limit, settled):
    request = Request.of(context=asked)

    assert request.workload_for(model(limit)).context == settled


def test_an_unknown_model_gets_the_default_length():
    assert Request.of().workload_for(None).context == DEFAULT_CONTEXT


def test_nobody_named_means_the_usual_accelerators():
    request = Request.of()

    assert not request.named
    assert [target.gpu.name for target in request.targets] == list(USUAL)


def test_names_are_canonical_afterwards():
    workload = Request.of(dtype="NF4", kv_dtype="torch.float8_e4m3fn", cache_policy="transformers").workload

    assert (workload.weight_dtype, workload.kv_dtype, workload.cache_policy.value) == (
        "nf4",
        "F8_E4M3",
        "transformers",
    )


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ({"batch": "2"}, "It may be int."),
        ({"batch": 1.5}, "It may be int."),
        ({"batch": None}, "It may be int."),
        ({"tp": True}, "It may be int."),
        ({"context": "8k"}, "It may be int."),
        ({"encoder_context": "8k"}, "It may be int, None."),
        ({"dora": 1}, "It may be bool."),
        ({"lora_dropout": "0.1"}, "It may be float."),
        ({"train": "yes"}, "It may be 'full', 'lora', 'qlora', None."),
        ({"attention": "flash"}, "It may be 'sdpa', 'eager'."),
        ({"checkpointing": ["full"]}, "It may be 'none', 'full', 'selective'."),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_refused_with_those_it_may_have(asked, hint):
    with pytest.raises(UsageError, match=f"^{next(iter(asked))} is ") as caught:
        Request.of(**asked)
    assert caught.value.hint == hint


def test_a_whole_number_is_a_fraction_too():
    assert Request.of(engine="vllm", gpu_memory_utilization=1).workload.gpu_memory_utilization == 1


def test_one_accelerator_needs_no_list():
    assert Request.of(gpus="H100-80GB") == Request.of(gpus=["H100-80GB"])


@pytest.mark.parametrize(
    "asked",
    [
        {"gpus": ["nonsense-9000"]},
        {"dtype": "fp3"},
        {"kv_dtype": "fp3"},
        {"cache_policy": "guess"},
        {"batch": 0},
        {"context": -1},
        {"context": 2**60},
        {"tp": 0},
        {"zero": 4},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(asked):
    with pytest.raises(UsageError):
        Request.of(**asked)


def test_llama_cpp_has_cache_dtypes_of_its_own():
    assert Request.of(cache_policy="llama.cpp", kv_dtype="Q8_0").workload.kv_dtype == "q8_0"
    with pytest.raises(UsageError):
        Request.of(cache_policy="vllm", kv_dtype="q8_0")
