"""The picture of memory against context: each point a plan, and a file that is there whole or not at all."""

from dataclasses import replace

import pytest
from hubmem import inspect
from hubmem.cli import main
from hubmem.errors import UsageError
from hubmem.render.plot import check_can_draw, draw, picture_of
from hubmem.units import GIB
from tests.hub_server.examples import SMALL

GPT2 = ["openai-community/gpt2", "--offline"]


@pytest.fixture(scope="module")
def report():
    return inspect("openai-community/gpt2", offline=True, gpus=["RTX-4090", "16GiB"])


def test_every_point_is_the_plan_of_its_context(report):
    picture = picture_of(report)
    plan_for = report.verdicts[0].solver.plan_for

    assert (picture.contexts[0], picture.contexts[-1]) == (1, 1024)
    assert list(picture.contexts) == sorted(set(picture.contexts))
    for index, context in enumerate(picture.contexts):
        plan = plan_for(replace(report.workload, context=context))
        stacked = sum(values[index] for values in picture.terms.values())
        assert stacked == pytest.approx(plan.per_gpu_bytes / GIB)


def test_each_accelerator_has_a_line_at_its_usable_memory(report):
    assert picture_of(report).devices == {"RTX-4090": 24080 / 1024, "16 GiB": 16.0}


def test_an_engines_share_is_what_is_usable():
    served = inspect("openai-community/gpt2", offline=True, gpus=["16GiB"], engine="vllm")

    assert picture_of(served).devices == {"16 GiB": pytest.approx(14.4)}


@pytest.mark.parametrize("name", ["plot.pdf", "plot", "plot.svg.txt"])
def test_a_name_without_a_known_format_is_a_usage_error(name, tmp_path):
    with pytest.raises(UsageError, match=r"\.svg or \.png"):
        check_can_draw(tmp_path / name)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("hubmem.render.plot.find_spec", lambda _: None)

    assert main([*GPT2, "--plot", str(tmp_path / "plot.svg")]) == 2
    assert "pip install 'hubmem[plot]'" in capsys.readouterr().err
    assert not (tmp_path / "plot.svg").exists()


def test_a_picture_is_of_one_model(capsys, tmp_path):
    assert main([*GPT2, "openai-community/gpt2-xl", "--plot", str(tmp_path / "plot.svg")]) == 2
    assert "one model, not 2" in capsys.readouterr().err


class TestDrawn:
    @pytest.fixture(autouse=True)
    def _matplotlib(self):
        pytest.importorskip("matplotlib", reason="the extra hubmem[plot] is not installed")

    @pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
    def test_the_file_is_of_the_format_its_name_says(self, suffix, start, tmp_path, capsys):
        path = tmp_path / f"plot.{suffix}"

        assert main([*GPT2, "--gpu", "RTX-4090", "--plot", str(path)]) == 0
        assert path.read_bytes().startswith(start)
        assert [each for each in tmp_path.iterdir() if "plot" in each.name] == [path]

    def test_terms_and_accelerators_are_named_in_it(self, report, tmp_path):
        path = tmp_path / "plot.svg"
        draw(picture_of(report), path, "svg")
        text = path.read_text(encoding="utf-8")

        assert all(name in text for name in ("weights", "KV cache", "RTX-4090, 23.5 GiB", "16 GiB, 16.0 GiB"))

    def test_the_same_report_gives_the_same_bytes(self, report, tmp_path):
        for name in ("a", "b"):
            draw(picture_of(report), tmp_path / name, "svg")

        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_a_model_whose_layers_are_not_known_has_no_picture(self, connect, tmp_path, capsys):
        connect({**SMALL, "config": {"model_type": "nobody_knows"}})
        plot = tmp_path / "plot.svg"

        assert main(["org/small", "--plot", str(plot)]) == 2
        assert "needs a model whose layers are known" in capsys.readouterr().err
        assert not plot.exists()
