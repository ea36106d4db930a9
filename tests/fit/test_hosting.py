"""The machine beside the accelerators, and the machines one can rent."""

from itertools import chain

import pytest
from hubmem import inspect
from hubmem.fit.gpus import find
from hubmem.fit.hosting import Host
from hubmem.fit.verdict import Answer, hold
from hubmem.hub.source import Cost, FileEntry, Listing, Origin
from hubmem.inspection import assess
from hubmem.report import Report
from hubmem.request import Request
from hubmem.snapshot import Snapshot
from hubmem.units import GIB
from hubmem.weights.census import Census, fold_file
from hubmem.weights.safetensors import Tensor

LLAMA_70B = "meta-llama/Llama-3.1-70B"


@pytest.fixture(scope="module")
def report() -> Report:
    return inspect(LLAMA_70B, offline=True, cloud=True, bandwidth="10Gbit/s")


def test_the_checkpoint_is_on_disk_and_one_file_at_a_time_in_ram(report):
    """141,107,412,992 bytes in 30 files, of which a bundled snapshot knows the mean."""
    assert report.host.disk_bytes == 141_107_412_992
    assert report.host.load_bytes == -(-141_107_412_992 // 30)
    assert report.host.resident_bytes == 0


def test_a_single_file_of_unknown_length_is_in_ram_whole():
    """As for the many: a bundled snapshot knows what its tensors take, not how long its file is."""
    host = inspect("openai-community/gpt2", offline=True).host

    assert host.load_bytes == host.disk_bytes > 0


def test_of_files_of_several_lengths_the_longest_is_in_ram_whatever_lies_beside_them():
    lengths = {"1.safetensors": 40, "2.safetensors": 120}
    groups = [fold_file([Tensor("w", "F32", (n // 4,))], path) for path, n in lengths.items()]
    entries = {path: FileEntry(nbytes=n + 100) for path, n in {**lengths, "old/3.safetensors": 999}.items()}
    snapshot = Snapshot(
        listing=Listing(repo="x", revision=None, commit=None, gated=None, origin=Origin.LOCAL, files=entries),
        config=None,
        census=Census(groups=tuple(chain(*groups)), format="safetensors", files=2, basis="headers"),
        cost=Cost(),
        seconds=0.0,
    )

    assert assess(snapshot, Request.of()).host.load_bytes == 120


def test_a_download_takes_at_least_its_bits_over_the_bandwidth(report):
    assert report.host.download_seconds == pytest.approx(141_107_412_992 * 8 / 10e9)


def test_what_an_engine_leaves_in_ram_is_added():
    host = inspect(LLAMA_70B, offline=True, engine="llama.cpp", gpu_layers=40, gpus=["H100"]).host

    assert host.resident_bytes > 60 * GIB
    assert host.ram_bytes == host.load_bytes + host.resident_bytes


def test_every_machine_offered_holds_the_plan_on_no_more_gpus_than_it_has(report):
    solver = report.verdicts[0].solver
    assert len(report.offers) > 20
    for offer in report.offers:
        fit = hold(solver.plan_for(offer.cell.workload), find(offer.machine.gpu))
        assert fit == offer.cell.fit
        assert fit.answer is not Answer.NO
        assert offer.cell.workload.devices == offer.cell.gpus <= offer.machine.gpus


def test_the_smallest_machine_comes_first(report):
    sizes = [offer.machine.gpus * find(offer.machine.gpu).memory_bytes for offer in report.offers]

    assert sizes == sorted(sizes)


def test_machines_too_small_are_not_offered(report):
    names = {offer.machine.name for offer in report.offers}

    assert "aws:g5.xlarge" not in names
    assert {"aws:p4de.24xlarge", "azure:NC48ads_A100_v4", "hf:a100x4"} <= names


def test_a_machine_whose_ram_cannot_load_a_file_is_not_offered():
    """One file of 30 GiB of weights fits an A10G in 4 bits, and not the 15 GiB of RAM of the smallest machine."""
    report = inspect("mistralai/Mistral-7B-v0.1", offline=True, cloud=True, engine="vllm")
    needed = report.host.ram_bytes

    known = [offer.machine.host_ram_gib for offer in report.offers if offer.machine.host_ram_gib]
    assert min(known) * GIB >= needed


def test_a_division_that_is_asked_for_needs_as_many_gpus():
    report = inspect(LLAMA_70B, offline=True, cloud=True, tp=4)

    assert {offer.cell.gpus for offer in report.offers} == {4}
    assert min(offer.machine.gpus for offer in report.offers) == 4


def test_nothing_is_searched_unasked():
    assert inspect("openai-community/gpt2", offline=True).offers is None


def test_a_host_needs_ram_for_both():
    assert Host(disk_bytes=8, load_bytes=2, resident_bytes=3, bits_per_second=8).ram_bytes == 5
    assert Host(disk_bytes=8, load_bytes=2, resident_bytes=3, bits_per_second=8).download_seconds == 8
