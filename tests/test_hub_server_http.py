"""What the loopback Hub sends, to the byte, as seen by a client that neither follows nor decodes."""

import gzip
import json
from collections.abc import Callable

import pytest
from huggingface_hub import HfApi

from tests.hub_server import HubServer, Repo, Tensor, safetensors_file
from tests.hub_server.examples import SMALL, sharded, small
from tests.hub_server.plain_client import ask, bearer, cdn_path, connect

Serve = Callable[..., HubServer]

_API = "/api/models/org/small"
_CONFIG = "/org/small/resolve/main/config.json"
_WEIGHTS = "/org/small/resolve/main/model.safetensors"
_ONE_CALL = "/api/models/org/sharded/safetensors-metadata/model.safetensors.index.json"


class TestEndpoints:
    """Details that huggingface_hub does not look at, and other clients may."""

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("HEAD", _CONFIG, 307),
            ("GET", "/api/agent-harnesses", 200),
            ("GET", "/api/models?sort=nonsense", 400),
            ("GET", "/api/models/org/small/tree/main/absent", 404),
            ("GET", "/org/small/blob/main/config.json", 404),
            ("POST", "/api/models/org/small", 404),
            ("DELETE", "/api/models/org/small", 404),
        ],
    )
    def test_a_status_for_every_kind_of_request(
        self, serve: Serve, method: str, path: str, status: int
    ) -> None:
        assert ask(serve(small()).endpoint, path, method=method).status == status

    def test_fields_may_be_expanded_in_either_spelling(self, serve: Serve) -> None:
        hub = serve(small(gated="auto"))

        answers = [
            ask(hub.endpoint, f"{_API}?{name}=gated&{name}=gguf").json for name in ("expand", "expand[]")
        ]

        assert [answer.keys() for answer in answers] == [{"_id", "id", "modelId", "gated"}] * 2

    def test_the_api_may_say_other_than_the_files_do(self, serve: Serve) -> None:
        false = {"parameters": {"F32": 1}, "total": 2}
        hub = serve(small(api_fields={"safetensors": false, "gguf": {"total": 3}}))

        for query in ("", "?expand[]=safetensors&expand[]=gguf"):
            info = ask(hub.endpoint, _API + query).json
            assert (info["safetensors"], info["gguf"]) == (false, {"total": 3})

    def test_paths_may_be_asked_for_in_json(self, serve: Serve) -> None:
        body = json.dumps({"paths": ["config.json"], "expand": True}).encode()

        entries = ask(
            serve(small()).endpoint,
            f"{_API}/paths-info/main",
            method="POST",
            body=body,
            Content_Type="application/json",
        ).json

        assert [(entry["path"], "lastCommit" in entry) for entry in entries] == [("config.json", True)]

    def test_an_absent_file_still_tells_the_commit(self, serve: Serve) -> None:
        hub = serve(small())

        answer = ask(hub.endpoint, "/org/small/resolve/main/absent.json")

        assert answer.headers["X-Error-Code"] == "EntryNotFound"
        assert answer.headers["X-Repo-Commit"] == ask(hub.endpoint, _API).json["sha"]

    def test_a_page_is_not_upset_by_what_is_deleted_before_it(self, serve: Serve) -> None:
        hub = serve(*(Repo(f"a/m{number}", {}) for number in range(4)))

        first = ask(hub.endpoint, "/api/models?limit=2")
        hub.remove("a/m1")
        following = first.headers["Link"].partition(">")[0].removeprefix(f"<{hub.endpoint}")
        second = ask(hub.endpoint, following)

        assert [model["id"] for model in second.json] == ["a/m2", "a/m3"]
        assert second.headers["Link"] is None


class TestFiles:
    """Redirects, ranges, compression."""

    def test_a_small_file_is_behind_a_redirect_that_stays_on_the_hub(self, serve: Serve) -> None:
        hub = serve(small())
        sha = hub.repo("org/small").history[0].sha

        first = ask(hub.endpoint, _CONFIG)
        second = ask(hub.endpoint, first.headers["Location"])

        assert (first.status, first.headers["X-Repo-Commit"]) == (307, sha)
        assert first.headers["Location"].startswith(f"/api/resolve-cache/models/org/small/{sha}/config.json")
        assert (second.status, second.json) == (200, SMALL["config"])
        assert second.headers["ETag"] == first.headers["X-Linked-Etag"]

    def test_a_file_in_lfs_is_behind_a_signed_redirect_to_the_cdn(self, serve: Serve) -> None:
        hub = serve(small())

        answer = ask(hub.endpoint, _WEIGHTS, Authorization=bearer(hub.TOKEN_OK))
        size = int(answer.headers["X-Linked-Size"])
        path = cdn_path(hub, _WEIGHTS)

        assert answer.status == 302
        assert len(answer.headers["X-Linked-Etag"].strip('"')) == 64
        assert ask(hub.cdn_endpoint, path, method="HEAD").headers["Content-Length"] == str(size)
        assert ask(hub.cdn_endpoint, path.partition("?")[0]).status == 403

    @pytest.mark.parametrize(
        ("asked", "status", "first", "length"),
        [
            ("bytes=0-7", 206, 0, 8),
            ("bytes=4-", 206, 4, None),
            ("bytes=-5", 206, -5, 5),
            ("bytes=0-999999999", 206, 0, None),
            ("bytes=999999999-", 416, None, None),
            ("bytes=5-3", 416, None, None),
            ("bytes=-", 200, 0, None),
            ("lines=1-2", 200, 0, None),
        ],
    )
    def test_a_range_is_cut_from_the_file(
        self, serve: Serve, asked: str, status: int, first: int | None, length: int | None
    ) -> None:
        hub = serve(small())
        path = cdn_path(hub, _WEIGHTS)
        whole = ask(hub.cdn_endpoint, path).body

        part = ask(hub.cdn_endpoint, path, Range=asked)

        assert part.status == status
        if status == 416:
            assert part.headers["Content-Range"] == f"bytes */{len(whole)}"
        else:
            start = first % len(whole) if first else 0
            expected = whole[start:][:length]
            assert part.body == expected
            stated = f"bytes {start}-{start + len(expected) - 1}/{len(whole)}"
            assert part.headers["Content-Range"] == (stated if status == 206 else None)

    def test_raw_gives_the_text_or_the_pointer(self, serve: Serve) -> None:
        hub = serve(small())

        assert ask(hub.endpoint, "/org/small/raw/main/config.json").json == SMALL["config"]
        pointer = ask(hub.endpoint, "/org/small/raw/main/model.safetensors").body
        assert pointer.startswith(b"version https://git-lfs.github.com/spec/v1\noid sha256:")

    def test_json_and_text_are_compressed_for_those_who_accept_it(self, serve: Serve) -> None:
        hub = serve(sharded())
        sha = hub.repo("org/sharded").history[0].sha

        for path in (
            "/api/models/org/sharded?blobs=true",
            _ONE_CALL,
            f"/api/resolve-cache/models/org/sharded/{sha}/model.safetensors.index.json",
        ):
            plain, packed = ask(hub.endpoint, path), ask(hub.endpoint, path, Accept_Encoding="br, gzip")
            assert plain.headers["Content-Encoding"] is None
            assert packed.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(packed.body) == plain.body

    def test_a_range_is_never_compressed(self, serve: Serve) -> None:
        hub = serve(Repo("org/x", {"a.txt": b"a" * 5000}))
        location = ask(hub.endpoint, "/org/x/resolve/main/a.txt").headers["Location"]

        part = ask(hub.endpoint, location, Range="bytes=0-2999", Accept_Encoding="gzip")

        assert (part.status, part.headers["Content-Encoding"], part.body) == (206, None, b"a" * 3000)

    def test_one_connection_carries_many_requests(self, serve: Serve) -> None:
        hub = serve(small())
        connection = connect(hub.endpoint)

        statuses = []
        for _ in range(3):
            connection.request("GET", _API)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        kept = connection.sock is not None
        connection.close()

        assert (statuses, kept) == ([200] * 3, True)

    def test_a_malformed_shard_is_served_as_it_is(self, serve: Serve) -> None:
        index = {"metadata": {}, "weight_map": {"w": "bad.safetensors"}}
        files = {"model.safetensors.index.json": json.dumps(index).encode(), "bad.safetensors": b"\xff" * 64}
        hub = serve(Repo("org/bad", files))

        assert "safetensors" not in ask(hub.endpoint, "/api/models/org/bad").json
        path = cdn_path(hub, "/org/bad/resolve/main/bad.safetensors")
        assert ask(hub.cdn_endpoint, path).body == b"\xff" * 64
        assert ask(hub.endpoint, _ONE_CALL.replace("org/sharded", "org/bad")).status == 404


class TestTheLog:
    """What was asked and sent can be asserted to the byte."""

    def test_header_bytes_and_weight_bytes_are_told_apart(self, serve: Serve) -> None:
        header = safetensors_file([Tensor(name="w", dtype="F32", shape=(1 << 40,))])
        end = len(header.prefix)
        hub = serve(Repo("org/huge", {"model.safetensors": header}))
        path = cdn_path(hub, "/org/huge/resolve/main/model.safetensors")
        hub.clear_log()

        ask(hub.cdn_endpoint, path, Range=f"bytes=0-{end - 1}")
        assert (hub.bytes_sent, hub.weight_bytes_sent) == (end, 0)
        ask(hub.cdn_endpoint, path, Range=f"bytes=8-{end + 99}")
        assert (hub.bytes_sent, hub.weight_bytes_sent) == (2 * end + 92, 100)

    def test_weights_of_a_real_file_count_from_the_end_of_its_header(self, serve: Serve) -> None:
        header = safetensors_file([Tensor(name="w", dtype="F32", shape=(25,))]).prefix
        hub = serve(Repo("org/x", {"model.safetensors": header + bytes(100)}))

        ask(hub.cdn_endpoint, cdn_path(hub, "/org/x/resolve/main/model.safetensors"))

        assert hub.weight_bytes_sent == 100

    def test_an_entry_says_who_asked_what(self, serve: Serve) -> None:
        hub = serve(small())

        ask(hub.endpoint, f"{_API}?blobs=true", Authorization=bearer(hub.TOKEN_OK))
        ask(hub.cdn_endpoint, cdn_path(hub, _WEIGHTS), Range="bytes=0-9")

        seen = [
            (
                entry.host,
                entry.method,
                entry.query[:10],
                entry.range,
                entry.status,
                entry.bucket,
                entry.authorised,
            )
            for entry in hub.requests
        ]
        assert seen == [
            ("hub", "GET", "blobs=true", None, 200, "api", True),
            ("hub", "GET", "", None, 302, "resolvers", False),
            ("cdn", "GET", "Expires=18", "bytes=0-9", 206, None, False),
        ]

    def test_the_client_library_keeps_its_token_from_the_cdn(self, serve: Serve) -> None:
        hub = serve(small(gated="manual"))

        HfApi(hub.endpoint, hub.TOKEN_OK).get_safetensors_metadata("org/small")

        assert {entry.authorised for entry in hub.requests if entry.host == "hub"} == {True}
        assert {entry.authorised for entry in hub.requests if entry.host == "cdn"} == {False}
