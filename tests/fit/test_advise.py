"""Advice: every line is planned, and they come in the order of what they cost."""

from dataclasses import fields, replace

import pytest
from hubmem import inspect
from hubmem.fit.advise import Advice, changes_to_yes
from hubmem.fit.changes import Question
from hubmem.fit.gpus import find, parse_target
from hubmem.fit.siblings import published_in
from hubmem.fit.verdict import Answer, hold
from hubmem.hub.siblings import Sibling
from hubmem.memory.workload import Workload
from hubmem.report import Report

LLAMA = "meta-llama/Llama-3.1-8B"
FP8_REPO = Sibling(repo="org/Llama-FP8-dynamic", words=frozenset({"llama", "fp8", "dynamic"}))
GPTQ_REPO = Sibling(repo="org/Llama-GPTQ-Int4", words=frozenset({"llama", "gptq", "int4"}))


def report_of(repo: str = LLAMA, **request) -> Report:
    return inspect(repo, offline=True, **request)


def advice_on(gpu: str, repo: str = LLAMA, **request) -> list[Advice]:
    """The advice on one GPU, each line of it planned once more."""
    [verdict] = report_of(repo, gpus=[gpu], **request).verdicts
    assert verdict.fit.answer is Answer.NO
    for advice in verdict.advice:
        fit = hold(verdict.solver.plan_for(advice.change.workload), advice.change.gpu)
        assert fit.answer is advice.answer is not Answer.NO
        assert fit.free == advice.free
    return list(verdict.advice)


def kinds(advice: list[Advice]) -> list[str]:
    return [each.change.text for each in advice]


def test_weights_go_before_layers_on_the_host_and_money_goes_last():
    assert kinds(advice_on("RTX-4060-Ti-16GB")) == [
        "FP8 weights",
        "4-bit (nf4) weights",
        "27 of 32 layers on the GPU (device_map)",
        "2× RTX-4060-Ti-16GB (TP2)",
        "1× RTX-4090",
        "hf-endpoints:aws-nvidia-a10g-x1 (1× A10G)",
    ]


def test_another_accelerator_is_planned_with_the_kernels_it_has():
    older = advice_on("T4")
    kernels = {each.change.gpu.name: each.change.workload.attention_kernels for each in older}

    assert kernels.pop("T4") == "no-flash"
    assert set(kernels.values()) == {"all"}


def test_a_shorter_context_is_a_whole_number_of_k():
    [text] = [text for text in kinds(advice_on("RTX-4090", context=65536)) if "context" in text]

    assert text == "a context of 33k"


@pytest.mark.parametrize(
    ("engine", "gpu", "cache"),
    [
        ("vllm", "L4", "an FP8 cache"),
        ("vllm", "A10G", None),
        ("vllm", "22GiB", "an FP8 cache"),
        ("llama.cpp", "A10G", "a q8_0 cache"),
        ("transformers", "L4", None),
    ],
)
def test_a_narrower_cache_is_proposed_where_engine_and_gpu_have_one(engine, gpu, cache):
    texts = kinds(advice_on(gpu, engine=engine, context={"vllm": 56_000}.get(engine, 90_000)))

    assert [text for text in texts if "cache" in text] == ([cache] if cache else [])


@pytest.mark.parametrize(("gpu", "label"), [("L4", "FP8"), ("A10G", "8-bit (int8)"), ("22GiB", "FP8")])
def test_eight_bits_are_fp8_only_where_the_gpu_computes_in_it_or_nobody_knows(gpu, label):
    texts = kinds(advice_on(gpu, "Qwen/Qwen3-14B"))

    assert texts[0] == f"{label} weights"


def test_weights_stored_in_32_bits_are_halved_first():
    advice = advice_on("L40S", "google/gemma-2-9b", engine="vllm")

    assert kinds(advice)[:3] == ["an FP8 cache", "BF16 weights", "FP8 weights"]


def test_weights_narrower_than_a_precision_are_not_told_to_become_it():
    """gpt-oss is stored in 4 bits."""
    assert not [text for text in kinds(advice_on("24GiB", "openai/gpt-oss-20b")) if "weights" in text]


def test_attention_without_a_matrix_of_scores_costs_nothing_and_goes_first():
    assert kinds(advice_on("RTX-4090", attention="eager", context=12_000))[0] == "SDPA attention"


def test_a_chosen_precision_is_not_second_guessed():
    assert not [text for text in kinds(advice_on("8GiB", dtype="fp8")) if "weights" in text]


class TestTogether:
    @pytest.mark.parametrize(
        ("repo", "gpu", "asked", "first"),
        [
            (
                LLAMA,
                "H100-80GB",
                {"train": "full", "batch": 8, "context": 8192},
                "activation checkpointing + batches of 1, 8 accumulated",
            ),
            (
                LLAMA,
                "RTX-4090",
                {"train": "full", "context": 4096},
                "activation checkpointing + LoRA instead of full fine-tuning",
            ),
            (
                "Qwen/Qwen3-32B",
                "RTX-4090",
                {"engine": "vllm", "batch": 8},
                "an FP8 cache + 4-bit (AWQ) weights + a batch of 1",
            ),
        ],
    )
    def test_changes_that_are_too_little_each_are_proposed_as_one(self, repo, gpu, asked, first):
        assert kinds(advice_on(gpu, repo, **asked))[0] == first

    def test_none_of_them_is_there_for_nothing(self):
        [verdict] = report_of(gpus=["RTX-3090"], train="lora", context=8192, batch=4).verdicts
        together = verdict.advice[0].change
        changed = {
            field.name
            for field in fields(Workload)
            if getattr(together.workload, field.name) != getattr(verdict.workload, field.name)
        }

        assert changed == {"checkpointing", "batch", "accumulation", "train", "context"}
        for undone in ({"checkpointing": "none"}, {"batch": 4}, {"train": "lora"}, {"context": 8192}):
            plan = verdict.solver.plan_for(replace(together.workload, **undone))
            assert hold(plan, verdict.gpu).answer is Answer.NO

    def test_a_change_that_is_enough_alone_is_not_joined_with_others(self):
        assert not [text for text in kinds(advice_on("RTX-4060-Ti-16GB")) if " + " in text]


class TestLayersOnTheHost:
    @pytest.mark.parametrize(("engine", "said"), [("transformers", "device_map"), ("llama.cpp", "-ngl")])
    def test_as_many_layers_stay_as_fit_and_the_host_holds_the_rest(self, engine, said):
        [verdict] = report_of(gpus=["8GiB"], engine=engine).verdicts
        [advice] = [each for each in verdict.advice if "layers on the GPU" in each.change.text]
        kept = advice.change.workload.gpu_layers
        one_more = verdict.solver.plan_for(replace(advice.change.workload, gpu_layers=kept + 1))
        plan = verdict.solver.plan_for(advice.change.workload)

        assert said in advice.change.text
        assert hold(one_more, verdict.gpu).answer is Answer.NO
        assert advice.change.host_bytes == sum(term.nbytes for term in plan.host) > 0
        assert "GiB of host RAM" in advice.outcome

    def test_vllm_has_no_such_thing(self):
        assert not [text for text in kinds(advice_on("8GiB", engine="vllm")) if "layers" in text]


class TestTraining:
    def test_time_goes_before_quality_and_money(self):
        assert kinds(advice_on("A100-40GB", train="full", context=2048)) == [
            "LoRA instead of full fine-tuning",
            "QLoRA",
            "optimizer states on the host (ZeRO-1)",
            "weights and states on the host (ZeRO-3)",
            "4× A100-40GB (ZeRO-1 DP4)",
            "1× A100-PCIE-80GB",
            "gcp:a2-highgpu-2g (2× A100-40GB TP2)",
        ]

    def test_checkpointing_is_proposed_where_activations_are_what_is_too_much(self):
        assert kinds(advice_on("RTX-4090", train="lora", context=4096))[0] == "activation checkpointing"

    def test_what_leaves_for_the_host_is_what_the_device_no_longer_holds(self):
        advice = advice_on("A100-40GB", train="full", context=1024, checkpointing="full")
        [moved] = [each for each in advice if each.change.text.startswith("optimizer states")]

        assert moved.change.workload.offload == "optimizer"
        assert moved.change.host_bytes >= 4 * 8_030_261_248

    def test_the_lowest_stage_over_the_fewest_devices_is_proposed(self):
        advice = advice_on("RTX-4090", train="full", context=1024, checkpointing="full")
        [shared] = [each for each in advice if each.change.text[1:].startswith("× RTX-4090 (ZeRO-")]
        workload = shared.change.workload

        [verdict] = report_of(gpus=["RTX-4090"], train="full", context=1024, checkpointing="full").verdicts
        fewer = replace(workload, zero=workload.zero - 1)
        assert hold(verdict.solver.plan_for(fewer), verdict.gpu).answer is Answer.NO

    def test_where_activations_are_too_much_the_layers_are_divided_instead(self):
        """LoRA on 24 GiB: its activations of 25 GiB would be on each device that shared its states."""
        texts = kinds(advice_on("RTX-4090", train="lora", context=4096))

        assert "3× RTX-4090 (PP3)" in texts


class TestSiblings:
    def question(self, *siblings: Sibling) -> Question:
        [verdict] = report_of(gpus=["L4"]).verdicts
        asked = Workload(context=65_536, engine="vllm")
        return Question(
            plan_for=verdict.solver.plan_for,
            wanted=asked,
            asked=asked,
            gpu=find("L4"),
            gpus=1,
            max_context=131_072,
            siblings=siblings,
        )

    def weights(self, *siblings: Sibling) -> list[str]:
        return [each.text for each in changes_to_yes(self.question(*siblings)) if "weights" in each.text]

    def test_a_published_repo_is_named(self):
        assert self.weights(FP8_REPO)[0] == "FP8 weights, published as org/Llama-FP8-dynamic"

    def test_of_precisions_alike_the_published_one_is_taken(self):
        assert self.weights(GPTQ_REPO)[-1] == "4-bit (GPTQ) weights, published as org/Llama-GPTQ-Int4"

    def test_without_one_the_usual_precision_is_advised_unnamed(self):
        assert not [text for text in self.weights() if "published" in text]

    @pytest.mark.parametrize(
        ("words", "precision"),
        [
            ({"model", "fp8"}, "fp8"),
            ({"model", "quantized", "w8a8"}, "int8"),
            ({"bitsandbytes", "4-bit"}, "nf4"),
            ({"model", "bnb", "4bit"}, "nf4"),
            ({"awq", "4-bit"}, "awq-int4"),
            ({"gptq", "4-bit"}, "gptq-int4"),
            ({"model", "gguf"}, "gguf:Q4_K_M"),
        ],
    )
    def test_words_of_tags_and_names_tell_the_precision(self, words, precision):
        assert published_in(precision, [Sibling(repo="org/it", words=frozenset(words))]) == "org/it"

    def test_eight_bits_of_bitsandbytes_are_not_taken_for_four(self):
        eight = Sibling(repo="org/it", words=frozenset({"bitsandbytes", "8-bit"}))

        assert published_in("nf4", [eight]) is None
        assert published_in("int8", [eight]) == "org/it"


def test_a_bigger_gpu_is_the_smallest_of_the_make_that_fits_easily():
    advice = advice_on("L4", "Qwen/Qwen3-14B")
    [bigger] = [each for each in advice if each.change.text == f"1× {each.change.gpu.name}"]

    assert bigger.answer is Answer.FITS
    assert bigger.change.gpu.vendor == "nvidia"
    assert bigger.change.gpu.memory_bytes > find("L4").memory_bytes


def test_a_device_known_by_its_size_alone_is_not_told_of_a_bigger_one():
    *others, machine = advice_on("8GiB")

    assert all(each.change.gpu == parse_target("8GiB").gpu for each in others)
    assert ":" in machine.change.text


@pytest.mark.parametrize(("gpu", "vendor"), [("RTX-4060-Ti-16GB", "nvidia"), ("Inferentia2", "aws")])
def test_the_machine_runs_what_the_gpu_asked_about_runs(gpu, vendor):
    machine = advice_on(gpu, "Qwen/Qwen3-14B" if vendor == "nvidia" else "Qwen/Qwen3-32B")[-1].change

    assert ":" in machine.text
    assert machine.gpu.vendor == vendor


def test_the_machine_is_the_smallest_that_fits_with_ram_to_load_the_files():
    report = report_of("meta-llama/Llama-3.1-70B", gpus=["RTX-4090"], cloud=True)
    machine = report.verdicts[0].advice[-1].change

    assert machine.text.startswith(report.offers[0].machine.name)
    assert machine.workload == report.offers[0].cell.workload
