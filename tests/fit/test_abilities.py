"""What an accelerator cannot do is a reason for a no, or a caution beside a plan that is made all the same."""

import pytest
from hubmem import inspect
from hubmem.fit.abilities import cannot_run, cautions, has_format
from hubmem.fit.gpus import find, parse_target
from hubmem.fit.verdict import Answer
from hubmem.memory.workload import Workload


@pytest.mark.parametrize(
    ("engine", "gpu", "said"),
    [
        ("vllm", "M2-Max-32GB", "Apple"),
        ("vllm", "cpu:64GiB", "VLLM_CPU_KVCACHE_SPACE"),
        ("vllm", "P100", "compute capability 7.0"),
        ("vllm", "V100-32GB", ""),
        ("vllm", "MI300X", ""),
        ("vllm", "24GiB", ""),
        ("sglang", "M2-Max-32GB", "Apple"),
        ("sglang", "V100-32GB", ""),
        ("llama.cpp", "M2-Max-32GB", ""),
        ("llama.cpp", "cpu:64GiB", ""),
        ("transformers", "M2-Max-32GB", ""),
    ],
)
def test_an_engine_that_does_not_run_there_is_named_with_the_reason(engine, gpu, said):
    reason = cannot_run(Workload(engine=engine), parse_target(gpu).gpu)

    assert said in reason
    assert bool(reason) == bool(said)


def test_a_reason_is_a_no_in_every_cell_without_advice():
    [verdict] = inspect("openai-community/gpt2", offline=True, engine="vllm", gpus=["M2-Max-32GB"]).verdicts

    assert verdict.fit.answer is Answer.NO
    assert {cell.gpus for cell in verdict.cells} == {None}
    assert (verdict.advice, verdict.max_context, verdict.largest_precision) == ((), None, None)


@pytest.mark.parametrize(
    ("gpu", "workload", "stored", "said"),
    [
        ("A100-80GB", Workload(weight_dtype="fp8"), "BF16", ["no FP8 units: FP8 weights"]),
        ("A100-80GB", Workload(), "F8_E4M3", ["no FP8 units: FP8 weights"]),
        ("A100-80GB", Workload(kv_dtype="F8_E4M3"), "BF16", ["an FP8 cache takes 8 bits"]),
        ("H100-80GB", Workload(weight_dtype="fp8", kv_dtype="F8_E4M3"), "BF16", []),
        ("H100-80GB", Workload(weight_dtype="nvfp4"), "BF16", ["no FP4 units"]),
        ("B200", Workload(weight_dtype="nvfp4"), "BF16", []),
        ("T4", Workload(), "BF16", ["no BF16 units"]),
        ("T4", Workload(), "F16", []),
        ("24GiB", Workload(weight_dtype="fp8"), "BF16", []),
        ("Inferentia2", Workload(), "BF16", ["a compiler of its own"]),
        ("TPU-v5e", Workload(), "BF16", ["a compiler of its own"]),
        ("M2-Max-32GB", Workload(), "BF16", ["MPS back end"]),
        ("M2-Max-32GB", Workload(engine="llama.cpp"), "BF16", []),
        ("MI300X", Workload(), "BF16", []),
    ],
)
def test_a_format_it_lacks_is_a_caution(gpu, workload, stored, said):
    found = list(cautions(workload, parse_target(gpu).gpu, stored))

    assert len(found) == len(said)
    assert all(text in caution for text, caution in zip(said, found, strict=True))


def test_fp8_on_a_gpu_without_it_is_still_planned():
    [verdict] = inspect("meta-llama/Llama-3.1-8B", offline=True, dtype="fp8", gpus=["A100-80GB"]).verdicts

    assert verdict.fit.answer is Answer.FITS
    assert "no FP8 units" in verdict.cautions[0]


def test_of_a_bare_size_nobody_knows_what_it_computes_in():
    assert has_format(parse_target("24GiB").gpu, "fp8") is None
    assert has_format(find("RTX-4090"), "fp8") is True
    assert has_format(find("RTX-3090"), "fp8") is False
