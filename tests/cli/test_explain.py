"""The explanation accounts for every byte of the total: what it lists adds up to it, whoever runs what on how many."""

import json
import re

import pytest
from hubmem.cli import main

TERM = re.compile(r"^(?P<name>\S.*): (?P<bytes>[\d,]+) bytes \([\d.,]+ GiB\)(?P<basis>, \w+)?$")
WORKLOADS = [
    "meta-llama/Llama-3.2-1B --context 4k --batch 4",
    "meta-llama/Llama-3.2-1B --attention eager --dtype nf4",
    "mistralai/Mixtral-8x7B-v0.1 --tp 2 --ep 2",
    "Qwen/Qwen3-30B-A3B --pp 3 --context 32k",
    "google/gemma-3-4b-it --kv-dtype fp8",
    "google/flan-t5-xxl --encoder-context 512",
    "openai/gpt-oss-20b --engine vllm --gpu H100-80GB",
    "Qwen/Qwen3-32B --engine vllm@0.21 --tp 4 --pp 2 --max-num-seqs 64",
    "meta-llama/Llama-3.1-8B --engine vllm --enforce-eager --kv-dtype fp8 --dtype fp8",
    "Qwen/Qwen2.5-7B --engine llama.cpp --dtype gguf:Q4_K_M -ngl 11 --cache-type q8_0",
    "microsoft/Phi-3-mini-4k-instruct --engine llama.cpp --no-flash-attention --tp 3",
    "meta-llama/Llama-3.2-1B --train full --precision amp --zero 1 --dp 8 --checkpointing full",
    "meta-llama/Llama-3.2-1B --train full --zero 3 --dp 4 --offload parameters",
    "Qwen/Qwen2.5-1.5B --train full --pp 4 --accumulation 8 --tp 2 --sequence-parallel",
    "Qwen/Qwen2.5-7B --train qlora --lora-targets all-linear --optimizer paged-adamw-8bit",
    "Qwen/Qwen2.5-7B --train lora --dp 2 --cp 2",
]


@pytest.mark.parametrize("command", WORKLOADS)
def test_the_terms_that_are_listed_add_up_to_the_total(command, capsys):
    arguments = [*command.split(), "--offline"]
    assert main([*arguments, "--explain"]) == 0
    text = capsys.readouterr().out
    assert main([*arguments, "--format", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]

    shown = [match for line in text.splitlines() if (match := TERM.match(line))]
    names = [match["name"] for match in shown]
    sizes = [int(match["bytes"].replace(",", "")) for match in shown]
    total = names.index("total")
    assert sum(sizes[:total]) == sizes[total] == plan["per_gpu_bytes"]
    assert sum(sizes[total + 1 :]) == sum(term["bytes"] for term in plan["host"])
    assert all(match["basis"] for match in shown if match["name"] != "total")


@pytest.mark.parametrize(
    ("divided", "rank"),
    [
        ("--tp 4", "(any of 4 alike)"),
        ("--pp 3", "(stage 1 of 3, layers 0–5 and the embedding)"),
        ("--pp 2 --tp 2 --engine vllm", "(stage 2 of 2, layers 8–15 and the head)"),
    ],
)
def test_the_rank_is_named(divided, rank, capsys):
    assert main(["meta-llama/Llama-3.2-1B", *divided.split(), "--offline", "--explain"]) == 0

    assert rank in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", WORKLOADS)
def test_each_term_has_its_formula_source_and_range(command, capsys):
    assert main([*command.split(), "--offline", "--format", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]

    for term in (*plan["terms"], *plan["host"]):
        assert term["formula"]
        assert term["source"]
        assert term["low"] <= term["bytes"] <= term["high"]
        assert term["basis"] == "assumed" or term["low"] == term["high"] or term["name"] == "optimizer states"
