"""Rules of thumb: their documents' own examples, and their distance from the exact answer."""

from dataclasses import replace

import pytest
from hubmem import inspect
from hubmem.memory.rule import Symbols
from hubmem.memory.rules import RULES, compare, named_bits
from hubmem.memory.workload import Workload

from tests.memory.models import llama
from tests.memory.training.megatron import activations_of_a_layer

GIB = 2**30
BY_NAME = {rule.name: rule for rule in RULES}
# What each document prints and what is right by its own rule, worked out by hand in the document's unit.
EXAMPLES = [
    ("params-bytes", "7 B in float32", ["26.04"], [28e9 / GIB]),
    ("params-bytes", "1 B in float32", ["4"], [4]),
    ("params-bytes", "1 B in bfloat16", ["2"], [2]),
    ("params-bytes", "1 B in int8", ["1"], [1]),
    ("params-bytes", "13 B in Q8", ["13"], [13]),
    ("params-bytes", "70 B in float32", ["280"], [280]),
    ("params-bytes", "70 B in float16", ["140"], [140]),
    ("times-1.2", "70 B in 16 bits", ["168"], [70 * 2 * 1.2]),
    ("times-1.2", "70 B in FP8", ["21"], [70 * 1.2]),
    ("hosting", "70 B in float16", ["150", "170"], [150, 170]),
    ("two-tensors", "B 1, s 2,048, h 16,384, L 96 in float32", ["25.8"], [25.769803776]),
    ("two-tensors", "B 1, s 2,048, h 16,384, L 96 in float16", ["12.9"], [12.884901888]),
    ("batch-linear", "50 MB a sample, 32 of them", ["1600"], [1600]),
    ("times-six", "1 B in float32", ["24"], [24]),
    ("times-four", "7 B in float32", ["112"], [112]),
    ("times-four-and-states", "13 B in float32", ["437"], [(208 + 52 + 104) * 1.2]),
    ("adam-states", "13 B", ["104"], [104]),
    ("gradients", "13 B", ["52"], [52]),
]
ERRING = {("params-bytes", "7 B in float32"), ("times-1.2", "70 B in FP8")}


def llama_70b(**changes):
    """Llama-3.1-70B's comparisons by rule."""
    architecture, census = llama()
    workload = replace(Workload(), **changes)
    return {each.rule.name: each for each in compare(architecture, census, workload)}


@pytest.mark.parametrize(("name", "case", "printed", "right"), EXAMPLES)
def test_a_worked_example_comes_out_as_its_own_rule_gives_it(name, case, printed, right):
    rule = BY_NAME[name]
    example = next(example for example in rule.examples if example.case == case)
    answer = [nbytes / example.unit for nbytes in rule.nbytes(example.symbols)]

    assert list(example.printed) == printed
    assert answer == pytest.approx(right)
    assert (rule.right(example) != example.printed) == ((name, case) in ERRING)


def test_the_table_above_has_every_example():
    assert [(rule.name, example.case) for rule in RULES for example in rule.examples] == [
        (name, case) for name, case, _, _ in EXAMPLES
    ]


def test_28_billion_bytes_are_26_08_gib_and_not_26_04():
    rule = BY_NAME["params-bytes"]

    assert rule.right(rule.examples[0]) == ("26.08",)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_its_document_and_what_it_leaves_out(rule):
    assert rule.sources
    assert rule.leaves_out
    assert BY_NAME[rule.name] is rule


def test_the_hidden_size_makes_the_cache_of_llama_3_1_70b_eight_times_too_large():
    """64 heads share 8 keys and values; the exact cache is that of the first decoding step, one token longer."""
    assert llama_70b()["kv-hidden"].ratios[0] == pytest.approx(8 * 8192 / 8193)


def test_it_is_right_where_no_heads_share():
    architecture, census = llama(heads=32, kv_heads=32, hidden=4096, layers=2)
    by_name = {each.rule.name: each for each in compare(architecture, census, Workload())}

    assert by_name["kv-hidden"].ratios[0] == pytest.approx(8192 / 8193)


def test_parameters_times_bytes_is_exact_where_nothing_is_quantized():
    weights = llama_70b()["params-bytes"]

    assert weights.nbytes == (weights.exact,) == (2 * 70_553_706_496,)


def test_states_and_gradients_in_float32_are_what_the_documents_say():
    by_name = llama_70b()

    assert by_name["adam-states"].ratios == by_name["gradients"].ratios == (1.0,)
    assert by_name["states-like-weights"].ratios == (0.5,)


def test_plain_sgd_keeps_no_state_and_has_no_ratio():
    sgd = llama_70b()["sgd-states"]

    assert sgd.exact == 0
    assert sgd.ratios == ()


def test_the_rule_for_every_layer_is_the_papers():
    symbols = Symbols(B=2, s=2048, L=96, h=12288, a=96)
    a_layer = activations_of_a_layer(s=2048, b=2, h=12288, a=96)

    assert BY_NAME["alpha-beta-layers"].nbytes(symbols) == (96 * a_layer,)
    assert BY_NAME["alpha-beta"].nbytes(symbols) == (a_layer,)


def test_a_forward_pass_grows_with_the_batch_and_training_rules_do_not():
    one, four = llama_70b(), llama_70b(batch=4)

    assert four["batch-linear"].ratios[0] == pytest.approx(1, abs=0.05)
    assert four["times-six"].nbytes == one["times-six"].nbytes
    assert four["times-six"].exact > 2 * one["times-six"].exact


def test_rules_speak_of_one_device_however_the_work_is_divided():
    assert llama_70b(tp=4) == llama_70b()


def test_a_rule_goes_by_the_bits_that_a_precision_is_named_for():
    half_a_byte = llama_70b(weight_dtype="nf4")["params-bytes"]

    assert half_a_byte.nbytes == (70_553_706_496 // 2,)
    assert half_a_byte.ratios[0] < 0.9
    assert named_bits("gguf:IQ2_XXS") == 2


def test_stored_weights_count_as_the_bits_their_config_names():
    report = inspect("Qwen/Qwen2.5-7B-Instruct-AWQ", offline=True)
    by_name = {each.rule.name: each for each in report.rules()}

    assert by_name["params-bytes"].nbytes == (report.census.parameters // 2,)


def test_where_there_is_no_exact_answer_it_says_why():
    report = inspect("Qwen/Qwen2.5-7B-Instruct-AWQ", offline=True)
    six_times = next(each for each in report.rules() if each.rule.name == "times-six")

    assert six_times.exact is None
    assert "quantized" in six_times.unanswered


@pytest.mark.parametrize(
    "repo",
    [
        "google-t5/t5-base",
        "google-bert/bert-base-uncased",
        "openai/whisper-small",
        "state-spaces/mamba-130m-hf",
        "google/gemma-3-4b-it",
        "deepseek-ai/DeepSeek-V2-Lite",
        "meta-llama/Llama-4-Scout-17B-16E-Instruct",
        "openai/gpt-oss-20b",
    ],
)
def test_every_kind_of_model_has_an_answer_to_every_question_or_a_reason_why_not(repo):
    report = inspect(repo, offline=True, context=512)

    assert len(report.rules()) == len(RULES)
    assert all((each.exact is None) == bool(each.unanswered) for each in report.rules())


def test_of_unknown_layers_only_the_rules_about_weights_are_asked():
    _, census = llama(layers=2)

    assert [each.rule.formula for each in compare(None, census, Workload())] == ["P·b"]
