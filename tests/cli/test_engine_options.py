"""Engines and divisions on the command line."""

import json

import pytest
from hubmem.cli import main

MODEL = ["meta-llama/Llama-3.2-1B", "--offline"]


def workload(capsys, *arguments):
    assert main([*MODEL, "--format", "json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)["workload"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "vllm"], {"engine": "vllm", "engine_version": "0.11"}),
        (["--engine", "vllm@0.7.3"], {"engine": "vllm", "engine_version": "0.7"}),
        (["--engine", "llama.cpp", "--cache-type", "q8_0"], {"engine": "llama.cpp", "kv_dtype": "q8_0"}),
        (["--tp", "2", "--pp", "2", "--dp", "3"], {"tp": 2, "pp": 2, "dp": 3}),
        (["--train", "full", "--dp", "4", "--zero", "3"], {"zero": 3, "dp": 4, "offload": "none"}),
        (
            ["--train", "full", "--zero", "2", "--offload", "optimizer", "--accumulation", "8"],
            {"offload": "optimizer", "accumulation": 8},
        ),
        (["--train", "full", "--cp", "2"], {"cp": 2}),
        (["--tp", "2", "--sequence-parallel"], {"sequence_parallel": True}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_reaches_the_workload(capsys, arguments, said):
    assert workload(capsys, *arguments).items() >= said.items()


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (
            [
                "--engine",
                "vllm",
                "--gpu-memory-utilization",
                "0.8",
                "--max-num-seqs",
                "16",
                "--enforce-eager",
            ],
            {"gpu_memory_utilization": 0.8, "max_num_seqs": 16, "cuda_graphs": False},
        ),
        (["--engine", "vllm", "--max-num-batched-tokens", "4k"], {"max_num_batched_tokens": 4096}),
        (
            ["--engine", "llama.cpp", "-ngl", "4", "-ub", "256", "--no-flash-attention"],
            {"gpu_layers": 4, "micro_batch": 256, "flash_attention": False},
        ),
        (
            ["--engine", "llama.cpp", "--gpu-layers", "0", "--ubatch-size", "64"],
            {"gpu_layers": 0, "micro_batch": 64},
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_engine_s_own_setting_reaches_it(capsys, arguments, settings):
    assert workload(capsys, *arguments)["settings"].items() >= settings.items()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--engine", "tgi"], "Known: llama.cpp, sglang, transformers, vllm"),
        (["--engine", "vllm@0.3"], "no rules are known before 0.6"),
        (["--engine", "llama.cpp@b4000"], "its rules are known for December 2025 alone"),
        (["--max-num-seqs", "4"], "--max-num-seqs 4 is a setting of vllm; --engine is transformers"),
        (["--engine", "llama.cpp", "--cache-type", "fp8"], "--engine llama.cpp has no such cache"),
        (["--engine", "vllm", "--gpu-memory-utilization", "1.5"], "1.5"),
        (["--zero", "3"], "--zero 3 is about a step of training"),
        (["--tp", "3"], "Tensor parallelism can be over 1, 2, 4, 8, 16, 32"),
        (["--checkpointing", "full", "--train", "qlora", "--tp", "7"], "cannot be split over 7 ranks"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_with_both_sides(capsys, arguments, says):
    assert main([*MODEL, *arguments]) == 2
    assert says in capsys.readouterr().err


def test_the_screen_says_whose_rules_and_what_the_pool_holds(capsys):
    assert main([*MODEL, "--engine", "vllm", "--gpu", "RTX-4090", "--context", "8k"]) == 0

    out = capsys.readouterr().out
    assert "Inference · vllm 0.11 · BF16" in out
    assert "Its pool of " in out
    assert "sequences of 8k with 0.25 GiB each." in out


def test_the_explanation_lists_what_lies_in_the_host_s_memory(capsys):
    arguments = ["--engine", "llama.cpp", "-ngl", "4", "--explain"]
    assert main([*MODEL, *arguments]) == 0

    assert "In the host's memory lie:" in capsys.readouterr().out
