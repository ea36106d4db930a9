"""The other GGUF files of a repo: what is said of them by their lengths is what reading them would say."""

import struct
from pathlib import Path
from typing import Any

import pytest
from hubmem.inspection import inspect
from hubmem.render.formats import render
from hubmem.render.text import Page
from hubmem.report import Report
from hubmem.weights import ggml
from hubmem.weights.layout import model_name
from tests.weights.test_gguf import STRING, UINT32, entry, file, tensor, text

HIDDEN, LAYERS, TOKENS = 256, 4, 2048
SHAPES = {
    "token_embd.weight": (TOKENS, HIDDEN),
    "output_norm.weight": (1, HIDDEN),
    **{
        f"blk.{layer}.{name}.weight": shape
        for layer in range(LAYERS)
        for name, shape in {
            "attn_q": (HIDDEN, HIDDEN), "attn_k": (HIDDEN, HIDDEN), "attn_v": (HIDDEN, HIDDEN),
            "attn_output": (HIDDEN, HIDDEN), "ffn_gate": (1024, HIDDEN), "ffn_up": (1024, HIDDEN),
            "ffn_down": (HIDDEN, 1024), "attn_norm": (1, HIDDEN), "ffn_norm": (1, HIDDEN),
        }.items()
    },
}  # fmt: skip
NUMBERS = {
    "context_length": 4096, "embedding_length": HIDDEN, "block_count": LAYERS, "feed_forward_length": 1024,
    "attention.head_count": 8, "attention.head_count_kv": 8, "vocab_size": TOKENS,
}  # fmt: skip


def write_llama(path: Path, kind: str, name: str = "llama-1m") -> None:
    """A small Llama all of one type, its tensors holes in the file."""
    entries = [
        entry("general.architecture", STRING, text("llama")),
        entry("general.name", STRING, text(name)),
    ]
    entries += [entry(f"llama.{key}", UINT32, struct.pack("<I", value)) for key, value in NUMBERS.items()]
    table, offset = [], 0
    for each, (rows, columns) in SHAPES.items():
        row = ggml.of("F32" if rows == 1 else kind)
        table.append(tensor(each, [columns, rows], row.number, offset))
        offset += -(-row.nbytes(rows * columns) // 32) * 32
    head = file(entries, table)
    path.write_bytes(head)
    with path.open("r+b") as stream:
        stream.truncate(-(-len(head) // 32) * 32 + offset)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("Q4_K", "Q8_0", "F16", "Q2_K"):
        write_llama(tmp_path / f"llama-1m-{kind}.gguf", kind)
    (tmp_path / "llama-1m-Q4_K.gguf").rename(tmp_path / "llama-1m-Q4_K_M.gguf")
    return tmp_path


def answer(folder: Path, **options: Any) -> Report:
    return inspect(folder, gpus=["H100-80GB"], context=512, **options)


def test_the_length_of_a_file_tells_what_reading_it_would(folder: Path) -> None:
    report = answer(folder)
    assert report.census.main_dtype == "Q4_K"
    assert {each.label for each in report.alternatives()} == {"Q8_0", "F16", "Q2_K"}
    for each in report.alternatives():
        read = answer(folder, file=each.file)
        assert each.nbytes == pytest.approx(read.census.stored_bytes, abs=512)
        assert each.bits_per_weight == pytest.approx(8 * each.nbytes / read.census.parameters)
        assert each.plan is not None
        assert each.plan.per_gpu_bytes == pytest.approx(read.plan.per_gpu_bytes, abs=1024)
        assert [fit.answer for fit in each.fits] == [verdict.fit.answer for verdict in read.verdicts]


def test_a_file_of_another_model_is_listed_by_its_size_alone(folder: Path) -> None:
    write_llama(folder / "draft-0.5m-Q8_0.gguf", "Q8_0", name="draft")
    (draft,) = (each for each in answer(folder).alternatives() if each.file.startswith("draft"))
    assert (draft.bits_per_weight, draft.plan, draft.fits) == (None, None, ())
    assert draft.nbytes == (folder / draft.file).stat().st_size


def test_weights_asked_for_in_another_precision_leave_the_alternatives_their_sizes(folder: Path) -> None:
    alternatives = answer(folder, dtype="bf16").alternatives()
    assert all(each.bits_per_weight and each.plan is None for each in alternatives)


def test_a_repo_of_one_model_has_no_alternatives(tmp_path: Path) -> None:
    write_llama(tmp_path / "llama-1m-Q8_0.gguf", "Q8_0")
    assert answer(tmp_path).alternatives() == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("llama-8b-Q8_0.gguf", "BF16/llama-8b-BF16-00001-of-00002.gguf"),
        ("llama-8b.Q8_0.gguf", "llama-8b.Q4_K_M.gguf"),
        ("llama-8b-Q4_K_M.gguf", "llama-8b-UD-Q4_K_XL.gguf"),
    ],
)
def test_files_of_one_model_share_their_name(one: str, other: str) -> None:
    assert model_name(one) == model_name(other)


def test_the_table_has_a_line_for_each_and_a_star_for_the_one_reported_on(folder: Path) -> None:
    lines = render([answer(folder)], "table", Page()).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Alternatives"))
    labels = [line[:8].strip() for line in lines[start + 1 : start + 5]]
    assert labels == ["Q2_K", "* Q4_K_M", "Q8_0", "F16"]
    assert all(line.rstrip().endswith("yes") for line in lines[start + 1 : start + 5])


def test_the_json_has_a_plan_and_verdicts_for_each(folder: Path) -> None:
    report = answer(folder)
    written = {each["label"]: each for each in report.to_dict()["alternatives"]}
    for each in report.alternatives():
        assert each.plan is not None
        assert written[each.label]["plan"]["per_gpu_bytes"] == each.plan.per_gpu_bytes
        assert written[each.label]["verdicts"][0]["verdict"] == "fits"
        assert written[each.label]["file"] == f"llama-1m-{each.label}.gguf"
