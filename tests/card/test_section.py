"""What a section says: the numbers of the plans, and nothing that changes by itself."""

from dataclasses import replace

import pytest
from hubmem.card.section import Part, section_text
from hubmem.card.settings import Settings
from hubmem.card.shelf import assess_for
from hubmem.card.subject import Subject
from hubmem.hub.opening import Access, open_model
from hubmem.memory.planning import planner
from hubmem.memory.training.plan import plan_training
from hubmem.snapshot import take_snapshot
from hubmem.units import format_gib

EVERY_KIND = ("openai-community/gpt2", "Qwen/Qwen3-8B", "mistralai/Mixtral-8x7B-v0.1", "google-t5/t5-base")


def part(repo: str, settings: Settings) -> Part:
    snapshot = take_snapshot(open_model(repo, Access(offline=True)))
    return Part(subject=Subject(repo=repo), report=assess_for(snapshot, settings))


def text(repo: str, **settings) -> str:
    said = Settings(**settings)
    return section_text([part(repo, said)], said)


def row(section: str, start: str) -> list[str]:
    """The cells of the one table row that begins so."""
    [line] = [line for line in section.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("repo", EVERY_KIND)
def test_inference_is_what_the_plans_say_at_each_context_and_precision(repo):
    settings = Settings(context=(512, 1024))
    report = part(repo, settings).report
    plan_for = planner(report.architecture, report.census)
    section = text(repo, context=(512, 1024))

    for context in (512, 1024):
        cells = [
            format_gib(plan_for(replace(report.workload, context=context, weight_dtype=dtype)).per_gpu_bytes)
            for dtype in (None, "fp8", "nf4")
        ]
        assert row(section, f"inference, {context:,} tokens")[1:] == cells


@pytest.mark.parametrize("repo", EVERY_KIND)
def test_fine_tuning_is_what_the_plans_say(repo):
    report = part(repo, Settings()).report
    limit = report.architecture.max_context or 2048
    workload = replace(report.workload, context=min(2048, limit), checkpointing="full")
    cells = [
        format_gib(
            plan_training(report.architecture, report.census, replace(workload, train=kind)).per_gpu_bytes
        )
        for kind in ("lora", "qlora", "full")
    ]

    assert row(text(repo), "fine-tuning")[1:] == cells


def test_the_kinds_of_fine_tuning_are_those_asked_for():
    assert "|   Full |   LoRA |" in text("openai-community/gpt2", train=("full", "lora"))


def test_what_a_model_cannot_be_trained_by_is_left_out():
    """A quantized checkpoint takes adapters, but has no gradients of its own."""
    assert row(text("Qwen/Qwen2.5-7B-Instruct-AWQ"), "fine-tuning")[2:] == ["–", "–"]
    assert "fine-tuning" not in text("Qwen/Qwen2.5-7B-Instruct-AWQ", train=("full", "qlora"))


@pytest.mark.parametrize(
    ("repo", "contexts"),
    [
        ("Qwen/Qwen3-8B", ["8,192", "32,768"]),
        ("openai-community/gpt2", ["1,024"]),
        ("google/gemma-7b", ["8,192"]),
    ],
)
def test_the_usual_contexts_end_where_the_model_does(repo, contexts):
    section = text(repo)

    assert [
        line.split(" ")[2] for line in section.splitlines() if line.startswith("| inference,")
    ] == contexts


def test_the_matrix_has_a_row_for_each_gpu_asked_for():
    section = text("Qwen/Qwen3-8B", gpus=("RTX-4090", "2xA100-80GB", "24GiB", "1GiB"))

    assert row(section, "RTX-4090")[2:5] == ["1×", "1×", "1×"]
    assert row(section, "2× A100-80GB")[2:5] == ["2× TP2", "2× TP2", "2× TP2"]
    assert row(section, "24 GiB")[1] == "24.00"
    assert row(section, "1 GiB")[2:] == ["no", "no", "no", "–"]


def test_several_models_have_a_heading_each():
    settings = Settings()
    parts = [part(repo, settings) for repo in ("openai-community/gpt2", "Qwen/Qwen3-8B")]
    section = section_text(parts, settings)

    assert section.count("## Memory") == 1
    assert [line for line in section.splitlines() if line.startswith("### ")] == [
        "### openai-community/gpt2",
        "### Qwen/Qwen3-8B",
    ]


@pytest.mark.parametrize("repo", EVERY_KIND)
def test_two_runs_say_the_same(repo):
    assert text(repo) == text(repo)


def test_why_an_answer_is_not_the_hubs_stays_out_of_the_card():
    """The command line has said it; the section says what it was computed from."""
    section = text("openai-community/gpt2")

    assert "Offline" not in section
    assert (
        "from the snapshot of [openai-community/gpt2](https://huggingface.co/openai-community/gpt2)"
        in section
    )


def test_names_from_a_repo_are_no_markup():
    settings = Settings()
    found = part("openai-community/gpt2", settings)
    hostile = replace(found.report, notes=("a <script> | [link](x) `code` -->",))

    section = section_text([replace(found, report=hostile)], settings)

    assert r"> a \<script\> \| \[link\](x) \`code\` --\>" in section
