"""The same report as JSON, Markdown and CSV."""

import csv
import io
import json

from hubmem.render.formats import render
from hubmem.render.text import Page
from tests.render.reports import report


def rendered(output_format: str, *reports) -> str:
    return render(reports or [report()], output_format, Page())


class TestJson:
    """The contract `hubmem.report/1`: keys may be added, these may not change."""

    def test_the_keys_are_those_of_the_contract(self):
        value = json.loads(rendered("json"))

        assert value["schema"] == "hubmem.report/1"
        assert value.keys() >= {
            "schema", "repo", "revision", "commit", "source", "gated", "architecture", "parameters", "weights",
            "workload", "cache", "plan", "verdicts", "components", "alternatives", "notes", "cost",
        }  # fmt: skip
        assert value["architecture"].keys() >= {
            "model_type", "class", "layers", "hidden_size", "intermediate_size", "heads", "kv_heads", "head_dim",
            "vocab_size", "max_context", "dtype", "experts", "experts_per_token", "tied_embeddings", "layer_kinds",
        }  # fmt: skip
        assert value["parameters"].keys() >= {
            "total",
            "active",
            "stored",
            "buffers",
            "by_role",
            "by_dtype",
            "basis",
        }
        assert value["weights"].keys() >= {"format", "files", "stored_bytes", "quantization"}
        assert value["workload"].keys() >= {
            "mode", "engine", "batch", "context", "weight_dtype", "kv_dtype", "optimizer", "adapter",
            "checkpointing", "tp", "pp", "ep", "dp", "zero",
        }  # fmt: skip
        assert value["cache"].keys() >= {"bytes", "bytes_per_token", "policy"}
        assert value["plan"].keys() >= {
            "terms", "peaks", "allocated_bytes", "reserved_bytes", "total_bytes", "per_gpu_bytes",
        }  # fmt: skip
        assert value["plan"]["terms"][0].keys() >= {"name", "bytes", "basis", "formula", "source"}
        assert value["verdicts"][0].keys() >= {
            "gpu", "gpus", "tp", "required_bytes", "usable_bytes", "verdict", "max_context", "max_batch", "advice",
        }  # fmt: skip
        assert value["cost"].keys() >= {"requests", "bytes_received", "seconds"}

    def test_the_terms_add_up_to_what_a_device_holds(self):
        plan = json.loads(rendered("json"))["plan"]

        assert sum(term["bytes"] for term in plan["terms"]) == plan["per_gpu_bytes"]

    def test_several_reports_are_a_list(self):
        assert len(json.loads(rendered("json", report(), report()))) == 2

    def test_to_dict_is_the_same(self):
        assert json.loads(rendered("json")) == json.loads(json.dumps(report().to_dict()))

    def test_an_unknown_architecture_is_null(self):
        value = json.loads(rendered("json", report(known=False)))

        assert (value["architecture"], value["cache"]) == (None, None)
        assert value["verdicts"][0]["max_context"] is None


class TestMarkdown:
    def test_one_report_has_its_tables(self):
        text = rendered("markdown")

        assert text.startswith("## org/model @ `8f2c1d4`\n")
        assert "| weights" in text
        assert "| 24 GiB |" in text

    def test_a_no_has_its_ways_to_yes_as_a_list(self):
        text = rendered("markdown", report("12GiB"))

        assert "it does not fit: 16.00 of 12.00 GiB, 4 GiB short." in text
        assert "No change makes it fit." in text

    def test_tight_is_explained_where_it_is_said(self):
        assert "tight: expected to fit" in rendered("markdown", report("16GiB"))
        assert "tight: it fits" not in rendered("markdown", report("64GiB"))

    def test_a_name_cannot_be_markup(self):
        text = rendered("markdown", report(repo="org/<script>|x|", notes=("[link](javascript:x)",)))

        assert "<script>" not in text
        assert "[link](" not in text

    def test_several_reports_are_one_table(self):
        assert rendered("markdown", report(), report()).startswith("| repo")


class TestCsv:
    def test_each_line_is_an_accelerator_in_a_precision(self):
        rows = list(csv.DictReader(io.StringIO(rendered("csv"))))

        assert [(row["gpu"], row["precision"], row["gpus"], row["verdict"]) for row in rows[:2]] == [
            ("24 GiB", "BF16", "1", "fits"),
            ("24 GiB", "FP8", "1", "fits"),
        ]
        assert rows[0]["per_gpu_bytes"] == str(16 * 2**30)
        assert len(rows) == 6
