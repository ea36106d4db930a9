"""The spine, over the loopback Hub and the bundled snapshots."""

import json
from pathlib import Path

import pytest
from hubmem import inspect
from hubmem.fit.verdict import Answer
from hubmem.hub.bundled import BundledSource

from tests.hub_server import Repo, files_of
from tests.hub_server.examples import SMALL

FIXTURES = Path(__file__).parents[1] / "fixtures" / "snapshots" / "built"
LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 20,
    "intermediate_size": 128,
    "vocab_size": 32,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}


@pytest.fixture
def answer(connect):
    """The report on a small repo with a config of one's own."""

    def answer(config: dict, **options):
        connect({**SMALL, "config": config})
        return inspect("org/small", **options)

    return answer


def test_the_cache_is_the_architectures(answer):
    report = answer(LLAMA, context=1000, batch=3)

    assert report.cache.nbytes == 20 * 2 * 2 * 16 * 2 * 1000 * 3
    assert report.cache.bytes_per_token == 20 * 2 * 2 * 16 * 2


def test_an_unknown_type_has_exact_weights_no_cache_and_a_note(answer):
    report = answer({"model_type": "nobody_knows"}, gpus=["24GiB"])

    assert (report.architecture, report.cache) == (None, None)
    weights, buffers = report.plan.of("weights"), report.plan.of("buffers")
    assert weights.nbytes + buffers.nbytes == report.census.stored_bytes
    assert any("'nobody_knows' is not known" in note for note in report.notes)
    assert report.verdicts[0].max_context is None


def test_a_model_without_a_type_is_not_taken_for_a_llama(answer):
    assert answer({}).architecture is None


def test_the_reports_json_is_json(answer):
    assert json.loads(json.dumps(answer(LLAMA).to_dict()))["schema"] == "hubmem.report/1"


@pytest.mark.parametrize(
    "repo", ["meta-llama/Llama-3.1-70B", "google-t5/t5-base", "google-bert/bert-base-uncased"]
)
def test_terms_add_up_for_real_models(repo):
    plan = inspect(repo, offline=True).to_dict()["plan"]

    assert sum(term["bytes"] for term in plan["terms"]) == plan["per_gpu_bytes"]
    assert plan["allocated_bytes"] == max(plan["peaks"].values())


PUBLISHED = {
    # Parameter counts as their makers or the Hub print them; each snapshot's record names the source.
    "meta-llama/Llama-2-7b-hf": 6_738_415_616,
    "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-3.1-70B": 70_553_706_496,
    "meta-llama/Llama-3.1-405B": 405_853_388_800,
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "EleutherAI/gpt-j-6b": 6_050_882_784,
    "bigscience/bloom": 176_247_271_424,
    "bigscience/bloom-560m": 559_214_592,
    "facebook/opt-6.7b": 6_658_473_984,
    "google-t5/t5-base": 222_903_552,
    "google-t5/t5-large": 737_668_096,
    "google/flan-t5-xxl": 11_135_332_352,
    "FacebookAI/roberta-base": 124_697_433,
    "google-bert/bert-base-uncased": 110_106_428,
    "EleutherAI/gpt-neox-20b": 20_554_567_680,
    "openai-community/gpt2": 124_439_808,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "mistralai/Mixtral-8x7B-v0.1": 46_702_792_704,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "albert/albert-base-v2": 11_683_584 + 128_688,  # the model as its source counts it, and its head
    "Qwen/Qwen2.5-0.5B": 494_032_768,
    "Qwen/Qwen3-0.6B": 596_049_920,
    "google/gemma-2b": 2_506_172_416,
    "google/gemma-7b": 8_537_680_896,
    "openai/gpt-oss-20b": 20_914_757_184,
    "deepseek-ai/DeepSeek-V3": 684_489_830_400,
}


MEGATRON = {
    # Checkpoints NVIDIA hands out elsewhere; their shapes are those of the classes that load them.
    "nvidia--megatron-bert-uncased-345m": 336_297_858,
    "nvidia--megatron-gpt2-345m": 354_871_296,
}


@pytest.mark.parametrize(("name", "parameters"), MEGATRON.items())
def test_megatrons_own_models_are_counted_exactly(name, parameters, monkeypatch):
    record = json.loads((FIXTURES / f"{name}.json").read_text())
    monkeypatch.setattr("hubmem.hub.bundled.find", lambda _: BundledSource(record))

    report = inspect(record["repo"], offline=True)

    assert report.architecture is not None
    assert report.census.parameters == parameters


@pytest.mark.parametrize(("repo", "parameters"), PUBLISHED.items())
def test_published_parameter_counts_are_met_exactly(repo, parameters):
    assert inspect(repo, offline=True).census.parameters == parameters


ADAPTER = {
    "schema": "hubmem.snapshot/1",
    "repo": "org/adapter",
    "gated": False,
    "config": {},
    "weights": {"format": "safetensors", "files": 1},
    "tensors": [["base_model.model.layers.{0..19}.self_attn.q_proj.lora_A.weight", "F32", [8, 8]]],
}


def adapter_repo(base: str | None) -> Repo:
    """An adapter of rank 8, as peft saves it."""
    files = files_of(ADAPTER)
    config = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj"], "base_model_name_or_path": base}
    return Repo(
        "org/adapter",
        {
            "adapter_config.json": json.dumps(config).encode(),
            "adapter_model.safetensors": files["model.safetensors"],
        },
    )


class TestAdapters:
    def test_the_base_is_found_and_added(self, connect):
        connect(adapter_repo("org/small"), {**SMALL, "config": LLAMA})

        report = inspect("org/adapter").to_dict()

        assert report["adapter"] == {
            "kind": "LORA", "base": "org/small", "rank": 8, "targets": ["q_proj"], "parameters": 20 * 64,
        }  # fmt: skip
        assert report["architecture"]["model_type"] == "llama"
        assert report["parameters"]["total"] > 20 * 64

    @pytest.mark.parametrize("base", ["org/missing", "/home/author/checkpoint", None])
    def test_without_its_base_the_adapters_own_numbers_are_left(self, connect, base):
        connect(adapter_repo(base))

        report = inspect("org/adapter")

        assert report.census.parameters == 20 * 64
        assert any("base model" in note for note in report.notes)


def test_a_pipelines_components_are_told_apart(connect):
    weights = files_of(SMALL)["model.safetensors"]
    index = {"_class_name": "X", "unet": ["diffusers", "UNet"], "text_encoder": ["transformers", "CLIP"]}
    files = {
        "model_index.json": json.dumps(index).encode(),
        "unet/diffusion_pytorch_model.safetensors": weights,
        "text_encoder/model.safetensors": weights,
    }
    connect(Repo("org/pipeline", files))

    report = inspect("org/pipeline").to_dict()

    assert [(part["name"], part["class"]) for part in report["components"]] == [
        ("unet", "UNet"),
        ("text_encoder", "CLIP"),
    ]
    assert sum(part["stored_bytes"] for part in report["components"]) == report["weights"]["stored_bytes"]


@pytest.mark.parametrize(
    ("policy", "kv_dtype", "a_token"),
    [
        ("logical", None, 131_072),
        ("transformers", None, 131_072),
        ("vllm", None, 131_072),
        ("vllm", "fp8", 65_536),
        ("llama.cpp", None, 131_072),
        ("llama.cpp", "q8_0", 131_072 * 34 // 64),
    ],
)
def test_every_policy_agrees_on_a_model_of_full_attention(policy, kv_dtype, a_token):
    """Llama-3.1-8B: 32 layers × 2 × 8 × 128 × 2 B; a q8_0 block of 32 takes 34 bytes instead of 64."""
    report = inspect(
        "meta-llama/Llama-3.1-8B", offline=True, cache_policy=policy, kv_dtype=kv_dtype, context=8192
    )

    assert report.cache.policy.value == policy
    assert report.cache.bytes_per_token == a_token
    assert report.cache.nbytes == a_token * 8192


def test_policies_differ_where_windows_slide():
    """gpt-oss: half of the layers see 128 tokens; vLLM budgets a step beside the window, llama.cpp 768 cells."""
    sizes = {
        policy: inspect("openai/gpt-oss-20b", offline=True, cache_policy=policy, context=131_072).cache.nbytes
        for policy in ("transformers", "logical", "llama.cpp", "vllm")
    }

    assert list(sizes.values()) == sorted(sizes.values())
    assert sizes["llama.cpp"] - 12 * 131_072 * 2048 == 12 * 768 * 2048


class TestCacheDtype:
    """FP8 weights do not mean an FP8 cache; a scheme of its own does."""

    def config(self, scheme: object) -> dict[str, object]:
        weights = {"num_bits": 8, "type": "float"}
        return {
            **LLAMA,
            "quantization_config": {
                "quant_method": "compressed-tensors",
                "format": "float-quantized",
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
                "kv_cache_scheme": scheme,
            },
        }

    def test_weights_alone_leave_the_cache_as_it_is(self, answer):
        assert answer(self.config(None)).cache.bytes_per_token == 20 * 2 * 2 * 16 * 2

    def test_a_scheme_narrows_it_and_is_noted(self, answer):
        report = answer(self.config({"num_bits": 8, "type": "float"}))

        assert report.cache.bytes_per_token == 20 * 2 * 2 * 16
        assert any("kv_cache_scheme" in note for note in report.notes)

    def test_a_user_who_says_otherwise_is_believed(self, answer):
        report = answer(self.config({"num_bits": 8, "type": "float"}), kv_dtype="bf16")

        assert report.cache.bytes_per_token == 20 * 2 * 2 * 16 * 2


class TestTraining:
    """Llama-3.2-1B, 1,235,814,400 parameters: what every byte of a step must at least hold."""

    def plan(self, **options):
        return inspect("meta-llama/Llama-3.2-1B", offline=True, gpus=["H100"], context=2048, **options)

    def test_full_fine_tuning_holds_weights_gradients_and_two_states(self):
        report = self.plan(train="full")

        assert report.to_dict()["workload"]["mode"] == "training"
        assert report.plan.of("weights").nbytes == 2 * 1_235_814_400
        assert report.plan.of("optimizer states").nbytes == 4 * 1_235_814_400
        assert set(report.plan.peaks) >= {"forward", "backward", "step"}

    def test_adapters_spare_gradients_and_states_and_four_bits_spare_weights(self):
        full, lora, qlora = (self.plan(train=kind).plan for kind in ("full", "lora", "qlora"))

        assert lora.of("optimizer states").nbytes < full.of("optimizer states").nbytes / 100
        assert lora.allocated_bytes < full.allocated_bytes
        assert qlora.of("weights").nbytes < lora.of("weights").nbytes

    def test_the_matrix_of_training_has_one_precision(self):
        assert len(self.plan(train="lora").verdicts[0].cells) == 1
        assert list(self.plan(train="lora").to_dict()["verdicts"][0]["smallest"]) == ["as_stored"]

    def test_zero_shares_the_states_of_training(self):
        alone, shared = (self.plan(train="full", **options).plan for options in ({}, {"dp": 4, "zero": 3}))

        assert shared.of("optimizer states").nbytes < alone.of("optimizer states").nbytes / 3
        assert shared.rank == "any of 4 alike"


class TestEngines:
    """Llama-3.1-8B: 16 GiB for one sequence of 131,072 tokens, of what vLLM leaves of a device."""

    def answer(self, *gpus, **options):
        return inspect("meta-llama/Llama-3.1-8B-Instruct", offline=True, gpus=gpus, context=131072, **options)

    def test_an_engine_s_share_is_what_is_usable(self):
        (verdict,) = self.answer("H100-80GB", engine="vllm", gpu_memory_utilization=0.8).verdicts

        assert verdict.fit.usable == int(0.8 * verdict.gpu.memory_bytes)

    def test_the_pool_is_told_for_each_device(self):
        large, small = (
            each["pool"] for each in self.answer("H100-80GB", "RTX-4090", engine="vllm").to_dict()["verdicts"]
        )

        assert large["request_bytes"] == 16 * 2**30
        assert large["concurrency"] == pytest.approx(large["bytes"] / large["request_bytes"], abs=0.01)
        assert large["tokens"] == pytest.approx(large["bytes"] / 131072, rel=0.001)
        assert small["concurrency"] < 1

    def test_the_device_decides_how_large_a_step_is(self):
        reports = [self.answer(gpu, engine="vllm") for gpu in ("H100-80GB", "RTX-4090", "A100-80GB")]

        assert [each.workload.max_num_seqs for each in reports] == [1024, 256, 256]
        assert self.answer("H100-80GB", engine="vllm", max_num_seqs=7).workload.max_num_seqs == 7

    def test_a_version_s_rules_are_named(self):
        plans = [self.answer("H100-80GB", engine=engine).plan for engine in ("vllm", "vllm@0.31")]

        assert plans[1].counted_bytes - plans[0].counted_bytes == plans[0].of("CUDA graphs").nbytes
        assert self.answer(engine="vllm@0.31").to_dict()["workload"]["engine_version"] == "0.21"

    def test_the_cache_is_counted_as_the_engine_lays_it_out(self):
        policies = [
            self.answer(engine=engine).cache.policy.value for engine in ("transformers", "vllm", "llama.cpp")
        ]

        assert policies == ["logical", "vllm", "llama.cpp"]

    def test_layers_off_the_gpu_are_in_the_host_s_memory(self):
        report = self.answer("RTX-4090", engine="llama.cpp", dtype="gguf:Q4_K_M", gpu_layers=8)

        host = report.to_dict()["plan"]["host"]
        assert {term["name"] for term in host} == {"weights", "KV cache"}
        assert report.host.resident_bytes == sum(term["bytes"] for term in host)

    def test_llama_cpp_divides_layers_among_devices(self):
        (verdict,) = self.answer("3xRTX-4090", engine="llama.cpp").verdicts

        assert (verdict.workload.pp, verdict.workload.tp) == (3, 1)
        assert verdict.fit.answer is not Answer.NO

    def test_data_parallel_replicas_hold_the_whole_model_each(self):
        one, four = (self.answer(engine="vllm", dp=dp).plan for dp in (1, 4))

        assert four.per_gpu_bytes == one.per_gpu_bytes
        assert four.total_bytes == 4 * one.total_bytes

    def test_the_fullest_stage_is_named_with_its_reason(self):
        plan = self.answer(pp=3).to_dict()["plan"]

        assert plan["rank"] == "stage 1 of 3, layers 0–10 and the embedding"
        assert plan["why"].startswith("weights ")
