"""What is said of an accelerator that was named, and of machines to rent."""

from hubmem import inspect
from hubmem.render.verdicts import machines_table, sentences

GPT2 = "openai-community/gpt2"


def test_where_an_engine_does_not_run_the_reason_takes_the_place_of_numbers():
    [verdict] = inspect(GPT2, offline=True, engine="vllm", gpus=["M2-Max-32GB"]).verdicts

    [sentence] = sentences(verdict)
    assert sentence.startswith("On 1× M2-Max-32GB it does not run: on Apple's GPUs")


def test_of_the_machines_the_twelve_smallest_are_shown_and_how_many_are_larger():
    report = inspect(GPT2, offline=True, cloud=True)

    heading, *machines, blank, rest = machines_table(report).splitlines()
    assert heading.startswith("Machines it fits")
    assert [line.split()[0] for line in machines] == [offer.machine.name for offer in report.offers[:12]]
    assert (blank, rest) == ("", f"and {len(report.offers) - 12} larger ones")


def test_where_no_machine_is_enough_it_says_so_and_unasked_it_says_nothing():
    too_large = inspect("meta-llama/Llama-3.1-405B", offline=True, cloud=True, dtype="fp32", batch=1024)

    assert machines_table(too_large) == "No known machine is enough."
    assert machines_table(inspect(GPT2, offline=True)) == ""
