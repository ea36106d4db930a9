"""Names people type, and what they mean."""

import pytest
from hubmem.errors import UnknownGpu, UsageError
from hubmem.fit.gpus import USUAL, catalogue, find, machines, parse_target
from hubmem.units import GIB


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("H100-80GB", "H100-80GB"),
        ("h100", "H100-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100-80GB"),
        ("rtx 4090", "RTX-4090"),
        ("4090", "RTX-4090"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
        ("a100-80gb", "A100-80GB"),
        ("A100_80GB", "A100-80GB"),
        ("mi300x", "MI300X"),
    ],
)
def test_case_spaces_dashes_and_makers_do_not_matter(text, name):
    assert find(text).name == name


@pytest.mark.parametrize("gpu", catalogue(), ids=lambda gpu: gpu.name)
def test_every_accelerator_is_found_by_each_of_its_names(gpu):
    assert {find(name).name for name in (gpu.name, gpu.title, *gpu.aliases)} == {gpu.name}


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownGpu) as caught:
        find("H10O-80GB")

    assert "H100-80GB" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("text", "count"), [("2xH100", 2), ("8 × h100", 8), ("16*H100", 16), ("H100", None)])
def test_a_number_may_stand_before_the_name(text, count):
    target = parse_target(text)

    assert (target.gpu.name, target.count) == ("H100-80GB", count)


def test_a_size_is_a_device_of_that_memory():
    assert parse_target("24GiB").gpu.memory_bytes == 24 * GIB
    assert parse_target("2x24GB").gpu.memory_bytes == 24 * 10**9


def test_a_rented_machine_is_its_gpus():
    target = parse_target("aws:p4de.24xlarge")

    assert (target.gpu.name, target.count) == ("A100-80GB", 8)


@pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.name)
def test_every_machine_can_be_asked_for(machine):
    target = parse_target(machine.name)

    assert (target.gpu, target.count) == (find(machine.gpu), machine.gpus)


@pytest.mark.parametrize("text", ["0xH100", "99999999xH100", "", "-1xH100", "0GiB"])
def test_what_means_no_device_is_a_usage_error(text):
    with pytest.raises(UsageError):
        parse_target(text)


def test_the_usual_ones_are_all_known_and_begin_with_the_smallest_and_end_with_the_largest():
    sizes = [find(name).memory_bytes for name in USUAL]

    assert sizes[0] == min(sizes)
    assert sizes[-1] == max(sizes)
