"""A platform engineer with 8 × H100: which models, in which precision, over how many; and all of it in scripts."""

import csv
import io
import json
import re

from tests.walks.terminal import Terminal


def test_a_model_too_large_as_stored_fits_in_the_precision_advised(terminal: Terminal):
    line = "hubmem meta-llama/Llama-3.1-405B --gpu 8xH100-80GB --engine vllm --tp 8 --check"
    no = terminal.type(line)

    assert no.code == 1
    assert re.search(r"On 8× H100-80GB \(TP8\) it does not fit: .*short", no.text.replace("\n", " "))
    assert re.search(r"^  FP8 weights:? +fits", no.text, re.MULTILINE)

    yes = terminal.type(f"{line} --dtype fp8")

    assert yes.code == 0
    assert re.search(r"total on each of 8 devices \(TP8\) +\d\d\.\d\d", yes.text)


def test_several_models_stand_side_by_side(terminal: Terminal):
    screen = terminal.type("hubmem meta-llama/Llama-3.1-70B Qwen/Qwen3-32B --gpu H100-80GB")

    assert screen.code == 0
    assert screen.row("parameters").split()[1:] == ["70,553,706,496", "32,762,123,264"]
    assert re.findall(r"(\d)×", screen.row("H100-80GB")) == ["2", "1"]


def test_scripts_get_json_csv_and_an_exit_code(place):
    out, err = place(80).pipe("hubmem Qwen/Qwen3-32B --gpu 2xH100-80GB --format json --check")
    report = json.loads(out.raw)

    assert out.code == 0
    assert report["schema"] == "hubmem.report/1"
    assert report["verdicts"][0]["verdict"] == "fits"
    assert "Traceback" not in err.raw

    out, _ = place(80).pipe("hubmem Qwen/Qwen3-32B mistralai/Mixtral-8x7B-v0.1 --gpu H100-80GB --format csv")
    rows = list(csv.DictReader(io.StringIO(out.raw)))
    assert {row["repo"] for row in rows} == {"Qwen/Qwen3-32B", "mistralai/Mixtral-8x7B-v0.1"}
    assert all(int(row["per_gpu_bytes"]) > 2**30 for row in rows)


def test_a_list_of_models_is_scanned_into_a_file_and_a_page(place):
    terminal = place(100)
    (terminal.home / "repos.txt").write_text("Qwen/Qwen3-32B  # ours\nmeta-llama/Llama-3.1-70B\norg/none\n")

    screen = terminal.type("hubmem scan repos.txt --gpu 8xH100-80GB -o results.jsonl")

    assert screen.code == 0, screen.text
    lines = [json.loads(line) for line in (terminal.home / "results.jsonl").read_text().splitlines()]
    assert {line["repo"] for line in lines} == {"Qwen/Qwen3-32B", "meta-llama/Llama-3.1-70B", "org/none"}
    [skipped] = [line for line in lines if line["repo"] == "org/none"]
    assert "reason" in skipped
