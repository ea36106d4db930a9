"""Whatever a list, a line, a name or an output is: a repo, a skip that says why, or a refusal; never a crash."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hubmem.errors import UsageError
from hubmem.scanning import naming
from hubmem.scanning.naming import count, named

from tests.hub_server import Answer, Fault, HubServer
from tests.scanning.conftest import Outcome, read_lines
from tests.scanning.models import models

Hub = Callable[..., HubServer]
Scan = Callable[..., Outcome]
BOM = b"\xef\xbb\xbf"


@pytest.fixture
def listing(tmp_path: Path) -> Callable[[bytes], str]:
    def write(content: bytes) -> str:
        path = tmp_path / "repos.txt"
        path.write_bytes(content)
        return str(path)

    return write


class TestLists:
    """Files as editors, shells and spreadsheets write them."""

    @pytest.mark.parametrize(
        ("content", "repos"),
        [
            (b"org/a\norg/b\n", ["org/a", "org/b"]),
            (b"org/a\r\norg/b\r\n", ["org/a", "org/b"]),
            (b"org/a\rorg/b", ["org/a", "org/b"]),
            (BOM + b"org/a\r\norg/b", ["org/a", "org/b"]),
            ("org/a\r\norg/b\r\n".encode("utf-16"), ["org/a", "org/b"]),
            (b"\xfe\xff" + "org/a\norg/b".encode("utf-16-be"), ["org/a", "org/b"]),
            (b"", []),
            (BOM, []),
            (b"\n\r\n   \n# nothing\n", []),
            (b'"org/a",12,fits\n', ["org/a"]),
            (b"  org/a  # a remark\n", ["org/a"]),
            (b'{"repo": "org/a", "reason": "gated"}\n', ["org/a"]),
            (b"org/\xff\n", ["org/\\xff"]),
            (b'{"repo": "org/\\ud800"}\n', ["org/\\ud800"]),
            (b"org/a\x00\n", ["org/a\x00"]),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_each_line_names_a_repo_or_nothing(
        self, listing: Callable[[bytes], str], content: bytes, repos: list[str]
    ) -> None:
        assert list(named([listing(content)])) == repos

    @pytest.mark.parametrize("line", [b"{", b"{}", b'{"repo": 5}', b'{"repo": ' + b"[" * 10**5])
    def test_a_line_of_json_without_a_repo_is_refused_by_its_number(
        self, listing: Callable[[bytes], str], line: bytes
    ) -> None:
        with pytest.raises(UsageError, match=r"repos\.txt, line 2"):
            list(named([listing(b"org/a\n" + line + b"\n")]))

    def test_standard_input_is_read_as_a_file_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        content = io.BytesIO(BOM + b"org/a\r\norg/\xff\n")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(content), "ascii"))

        assert list(named(["-", "org/b"])) == ["org/a", "org/\\xff", "org/b"]

    def test_a_pipe_with_a_name_is_read(self, tmp_path: Path) -> None:
        """What a shell makes of `<(…)`."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(b"org/a\norg/b\n",))
        writer.start()

        assert list(named([str(pipe)])) == ["org/a", "org/b"]
        writer.join()

    def test_names_are_counted_beforehand_unless_a_pipe_brings_them(
        self, listing: Callable[[bytes], str], tmp_path: Path
    ) -> None:
        file = listing(b"org/a\norg/b\n\n# none\n")
        os.mkfifo(tmp_path / "pipe")

        assert count([file, "org/c", str(tmp_path)]) == 4
        assert count([file, "-"]) is None
        assert count([file, str(tmp_path / "pipe")]) is None

    def test_a_name_longer_than_any_path_is_cut(self, listing: Callable[[bytes], str]) -> None:
        long, short = named([listing(b"a" * 10_000_000 + b"\norg/a\n")])

        assert (len(long), short) == (201, "org/a")

    def test_what_is_no_list_is_not_held_in_memory(
        self, listing: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(naming, "_LONGEST_LINE", 1000)

        with pytest.raises(UsageError, match="line 2 is too long"):
            list(named([listing(b"org/a\n" + b"a" * 2000)]))

    def test_a_folder_is_a_model_and_no_list(self, scan: Scan, tmp_path: Path) -> None:
        (line,) = scan(tmp_path).lines

        assert (line["repo"], line["reason"]) == (str(tmp_path), "no-weights")


@pytest.mark.parametrize(
    "name",
    [
        "org/na\x1b[31mme",
        "org/na\x00me",
        "org/na\x9bme",
        "org/na\u2028me",
        "org/na\u202eme",
        "a" * 300,
        "a" * 3000,
        "./" + "a" * 3000,
        "~nobody-of-that-name/model",
        "org/name@" + "r" * 3000,
        "../../etc/passwd",
        "org/../../name",
        "org/name?x=1",
        "https://huggingface.co/org/name",
        "org/name\nother/name",
        "'; DROP TABLE results; --",
        "<script>alert(1)</script>",
        "=1+1",
    ],
    ids=lambda name: ascii(name)[:30],
)
def test_a_hostile_name_is_a_skip_that_a_terminal_can_show(
    hub: Hub, scan: Scan, tmp_path: Path, name: str
) -> None:
    hub(*models(1))
    (tmp_path / "repos.jsonl").write_text(json.dumps({"repo": name}) + '\n{"repo": "org/m0"}\n')

    outcome = scan(tmp_path / "repos.jsonl", "--ordered")

    assert outcome.code == 0
    bad, good = outcome.lines
    assert (bad["repo"], good["repo"]) == (name, "org/m0")
    assert bad["reason"] in {"usage", "not-found", "revision-not-found", "unreadable"}
    assert outcome.out.count("\n") == 2
    assert not any(0x7F <= ord(mark) < 0xA0 or (mark < " " and mark != "\n") for mark in outcome.out)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"id": 5},
        {"id": "org/m0", "sha": {"not": "text"}},
        {"id": "org/m0", "siblings": "none"},
        {"id": "org/m0", "siblings": [{"name": "model.safetensors"}]},
        {"id": "org/m0", "siblings": [{"rfilename": 5}]},
        {"id": "org/\ud800", "sha": "a" * 40, "siblings": []},
        {"id": "org/m0", "safetensors": {"parameters": {"BF16": 10**30}}},
        {"id": "org/m0", "safetensors": [], "config": []},
    ],
    ids=lambda row: ascii(row)[:60],
)
@pytest.mark.parametrize("options", [(), ("--counts",), ("--refresh",)])
def test_a_list_of_the_hub_that_is_malformed_ends_in_words(
    hub: Hub, scan: Scan, row: dict[str, Any], options: tuple[str, ...]
) -> None:
    hub(*models(1), faults=[Fault(Answer(200, body=json.dumps([row]).encode()), match="GET /api/models$")])

    outcome = scan("--author", "org", *options)

    assert outcome.code in (0, 3)
    assert "Traceback" not in outcome.err
    assert all(line.get("reason") != "internal-error" for line in outcome.lines)


class TestOutputs:
    """Where answers go: whatever is there is written as it should be, or left alone."""

    def test_a_missing_folder_is_said_before_anything_is_asked(
        self, hub: Hub, scan: Scan, tmp_path: Path
    ) -> None:
        server = hub(*models(1))

        outcome = scan("org/m0", "-o", tmp_path / "none" / "out.jsonl")

        assert (outcome.code, server.requests) == (2, ())
        assert f"No folder {tmp_path / 'none'}" in outcome.err

    def test_a_file_is_not_read_and_written_at_once(self, scan: Scan, tmp_path: Path) -> None:
        output = tmp_path / "repos.jsonl"
        output.write_text('{"repo": "org/m0"}\n')
        (tmp_path / "link.jsonl").symlink_to(output)

        for name in (output, tmp_path / "link.jsonl"):
            assert scan(output, "-o", name).code == 2
        assert output.read_text() == '{"repo": "org/m0"}\n'

    def test_nor_is_a_store(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        hub(*models(1))
        scan("org/m0", "-o", tmp_path / "out.jsonl")

        outcome = scan(tmp_path / "out.jsonl.sqlite", "-o", tmp_path / "out.jsonl")

        assert outcome.code == 2
        assert "both read and written" in outcome.err
        assert len(read_lines(tmp_path / "out.jsonl")) == 1

    @pytest.mark.parametrize("output_format", ["jsonl", "csv", "html"])
    def test_a_link_stays_one(self, hub: Hub, scan: Scan, tmp_path: Path, output_format: str) -> None:
        hub(*models(1))
        target, link = tmp_path / "target", tmp_path / "link"
        target.write_text("old")
        link.symlink_to(target)

        outcome = scan("org/m0", "--format", output_format, "-o", link)

        assert (outcome.code, link.is_symlink()) == (0, True)
        assert "org/m0" in target.read_text()

    @pytest.mark.parametrize("output_format", ["jsonl", "csv", "html"])
    def test_a_device_stays_one_and_gets_no_store_beside_it(
        self, hub: Hub, scan: Scan, output_format: str
    ) -> None:
        hub(*models(1))

        outcome = scan("org/m0", "--format", output_format, "-o", "/dev/null")

        assert outcome.code == 0
        assert Path("/dev/null").is_char_device()
        assert not list(Path("/dev").glob("null.*"))

    @pytest.mark.parametrize("output_format", ["jsonl", "csv"])
    def test_a_pipe_with_a_name_is_written_to(
        self, hub: Hub, scan: Scan, tmp_path: Path, output_format: str
    ) -> None:
        hub(*models(1))
        pipe, received = tmp_path / "pipe", []
        os.mkfifo(pipe)
        reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
        reader.start()

        outcome = scan("org/m0", "--format", output_format, "-o", pipe)

        reader.join(10)
        assert outcome.code == 0
        assert "org/m0" in received[0]

    @pytest.mark.parametrize("output_format", ["jsonl", "csv", "markdown", "html"])
    def test_a_reader_who_has_gone_is_no_traceback(
        self, hub: Hub, tmp_path: Path, output_format: str
    ) -> None:
        server = hub(*models(4))
        names = " ".join(f"org/m{number}" for number in range(4))
        command = f"{sys.executable} -m hubmem scan {names} --format {output_format} | true"

        outcome = subprocess.run(
            ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
            env={**os.environ, "HF_ENDPOINT": server.endpoint, "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            check=False,
        )

        assert outcome.returncode == 0
        assert "Traceback" not in outcome.stderr
        assert "Broken" not in outcome.stderr

    def test_a_pipe_that_breaks_keeps_what_was_found(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        server = hub(*models(6))
        names = [f"org/m{number}" for number in range(6)]
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)

        def take_one() -> None:
            with pipe.open() as lines:
                lines.readline()

        reader = threading.Thread(target=take_one)
        reader.start()
        scan(*names, "-o", pipe)
        reader.join(10)
        pipe.unlink()
        server.clear_log()

        assert scan(*names, "-o", pipe).code == 0
        assert {line["repo"] for line in read_lines(pipe)} == set(names)
        assert len({entry.path for entry in server.requests if entry.path.startswith("/api/models/")}) < 6
