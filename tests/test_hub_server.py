"""The loopback Hub is faithful: huggingface_hub's client reads it, and raises what the Hub would raise."""

import io
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import safetensors
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ExpandModelProperty_T

from tests.hub_server import (
    HubServer,
    Repo,
    Settings,
    Virtual,
    files_of,
    repo_from_record,
    safetensors_file,
    tensors_of,
)
from tests.hub_server.examples import ELEMENTS, SHARDED, SMALL

Serve = Callable[..., HubServer]

_STORAGES = {"BF16": "BFloat16Storage", "I64": "LongStorage"}
_GATED = {**SMALL, "repo": "org/gated", "gated": "manual"}


def api(hub: HubServer, token: str | bool = False) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=token)


class _StandIn(pickle.Unpickler):
    """Reads a state dict without torch: a tensor becomes its storage, offset and shape."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_rebuild_tensor_v2":
            return lambda storage, offset, shape, *_: (storage, offset, shape)
        return super().find_class(module, name) if module == "collections" else name

    def persistent_load(self, pid: Any) -> str:
        _, storage, _, _, elements = pid
        return f"{storage} of {elements}"


def status_of(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    return error.value.response.status_code


class TestTheRealClientIsServed:
    """huggingface_hub's own client reads the server as it reads the Hub."""

    def test_model_info_lists_the_files_with_sizes_and_hashes(self, serve: Serve) -> None:
        hub = serve(SMALL)

        info = api(hub).model_info("org/small", files_metadata=True)

        assert (info.gated, info.private, info.library_name) == (False, False, "transformers")
        assert info.sha == hub.repo("org/small").history[0].sha
        assert info.config == {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
        listed = {file.rfilename: (file.size, file.lfs and file.lfs.size) for file in info.siblings or []}
        weights = safetensors_file(tensors_of(SMALL)).total_size
        assert listed["README.md"] == (len("# Small\n"), None)
        assert listed["model.safetensors"] == (weights, weights)

    @pytest.mark.parametrize("record", [SMALL, SHARDED], ids=["one file", "shards"])
    def test_parameter_counts_of_the_api_are_the_records(self, serve: Serve, record: dict[str, Any]) -> None:
        info = api(serve(record)).model_info(record["repo"], expand=["safetensors"])

        assert info.safetensors is not None
        assert (info.safetensors.parameters, info.safetensors.total) == (ELEMENTS, sum(ELEMENTS.values()))

    @pytest.mark.parametrize("record", [SMALL, SHARDED], ids=["one file", "shards"])
    def test_safetensors_headers_hold_the_records_tensors(self, serve: Serve, record: dict[str, Any]) -> None:
        metadata = api(serve(record)).get_safetensors_metadata(record["repo"])

        assert metadata.sharded == (record is SHARDED)
        assert metadata.parameter_count == ELEMENTS
        read = {
            (name, tensor.dtype, tuple(tensor.shape))
            for file in metadata.files_metadata.values()
            for name, tensor in file.tensors.items()
        }
        assert read == {(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors_of(record)}

    @pytest.mark.skipif(
        not hasattr(HfApi, "get_sharded_safetensors_metadata"),
        reason="this huggingface_hub is older than 2.3, which brought the one-call endpoint",
    )
    def test_one_call_gives_what_the_shards_give(self, serve: Serve) -> None:
        hub = serve(SHARDED)

        in_one_call = api(hub).get_sharded_safetensors_metadata("org/sharded")
        one_call = [request.path for request in hub.requests]
        shard_by_shard = api(hub).get_safetensors_metadata("org/sharded")

        assert one_call == ["/api/models/org/sharded/safetensors-metadata/model.safetensors.index.json"]
        assert in_one_call == shard_by_shard

    def test_a_download_is_the_file(self, serve: Serve, hf_home: Path) -> None:
        hub = serve(SMALL)

        path = hf_hub_download("org/small", "config.json", endpoint=hub.endpoint)

        assert json.loads(Path(path).read_bytes()) == SMALL["config"]
        assert Path(path).is_relative_to(hf_home)
        assert hub.repo("org/small").history[0].sha in path

    def test_a_downloaded_weight_file_is_valid_safetensors(self, serve: Serve) -> None:
        path = hf_hub_download("org/small", "model.safetensors", endpoint=serve(SMALL).endpoint)

        content = Path(path).read_bytes()
        tensors = dict(safetensors.deserialize(content))

        assert {name: tuple(tensor["shape"]) for name, tensor in tensors.items()} == {
            tensor.name: tensor.shape for tensor in tensors_of(SMALL)
        }

    @pytest.mark.parametrize("page_size", [1, 2, 1000])
    def test_a_tree_is_whole_whatever_the_page_size(self, serve: Serve, page_size: int) -> None:
        hub = serve(SMALL, settings=Settings(tree_page_size=page_size))

        everything = [
            entry.path for entry in api(hub).list_repo_tree("org/small", recursive=True, expand=True)
        ]
        root = [entry.path for entry in api(hub).list_repo_tree("org/small")]

        assert root == ["README.md", "config.json", "model.safetensors", "notes"]
        assert everything == [*root, "notes/deep", "notes/deep/a.txt"]

    def test_a_folder_of_the_tree_can_be_listed_alone(self, serve: Serve) -> None:
        entries = api(serve(SMALL)).list_repo_tree("org/small", "notes", recursive=True)

        assert [entry.path for entry in entries] == ["notes/deep", "notes/deep/a.txt"]

    def test_paths_info_skips_what_is_not_there(self, serve: Serve) -> None:
        entries = api(serve(SMALL)).get_paths_info(
            "org/small", ["config.json", "absent.txt", "notes"], expand=True
        )

        assert [entry.path for entry in entries] == ["config.json", "notes"]

    def test_refs_name_branches_tags_and_pull_requests(self, serve: Serve) -> None:
        files = {"config.json": b"{}"}
        repo = Repo(
            "org/refs", files, branches={"dev": files}, tags={"v1": files}, pull_requests={3: {"a.txt": b"a"}}
        )
        refs = api(serve(repo)).list_repo_refs("org/refs", include_pull_requests=True)

        assert [branch.name for branch in refs.branches] == ["main", "dev"]
        assert [(tag.name, tag.ref) for tag in refs.tags] == [("v1", "refs/tags/v1")]
        assert [request.ref for request in refs.pull_requests or []] == ["refs/pr/3"]

    @pytest.mark.parametrize("revision", ["dev", "v1", "refs/pr/3", "refs/heads/dev"])
    def test_a_revision_is_read_by_its_name_and_by_its_commit(self, serve: Serve, revision: str) -> None:
        other = {"config.json": b'{"other": true}'}
        repo = Repo("org/x", {}, branches={"dev": other}, tags={"v1": other}, pull_requests={3: other})
        hub = serve(repo)

        sha = api(hub).model_info("org/x", revision=revision).sha
        by_name = hf_hub_download("org/x", "config.json", revision=revision, endpoint=hub.endpoint)
        by_commit = hf_hub_download("org/x", "config.json", revision=sha, endpoint=hub.endpoint)

        assert Path(by_name).read_bytes() == Path(by_commit).read_bytes() == other["config.json"]

    def test_a_renamed_repo_is_found_under_its_old_id(self, serve: Serve) -> None:
        hub = serve(Repo("new/name", {"config.json": b"{}"}, former_ids=("oldname",)))

        assert api(hub).model_info("oldname").id == "new/name"
        assert Path(hf_hub_download("oldname", "config.json", endpoint=hub.endpoint)).read_bytes() == b"{}"

    def test_models_are_listed_page_by_page_filtered_and_sorted(self, serve: Serve) -> None:
        models = [Repo(f"a/m{number}", {}, card_tags=("x",), downloads=number) for number in range(7)]
        hub = serve(*models, Repo("b/m9", {}), settings=Settings(list_page_size=3))

        def ids(**query: Any) -> list[str]:
            return [model.id for model in api(hub).list_models(**query)]

        assert ids() == [*(f"a/m{number}" for number in range(7)), "b/m9"]
        assert ids(author="b") == ids(search="M9") == ["b/m9"]
        assert ids(author="a", filter="x", sort="downloads", limit=2) == ["a/m6", "a/m5"]
        assert ids(sort="last_modified", full=True) == ids()

    def test_every_field_that_the_client_may_expand_is_known(self, serve: Serve) -> None:
        fields: list[Any] = list(get_args(ExpandModelProperty_T))

        assert api(serve(SMALL)).model_info("org/small", expand=fields).library_name == "transformers"

    def test_a_listing_gives_the_expanded_fields_of_every_model(self, serve: Serve) -> None:
        hub = serve(SMALL, SHARDED)

        models = list(api(hub).list_models(expand=["safetensors", "config", "sha", "gguf"]))

        assert [model.safetensors.total for model in models if model.safetensors] == [
            sum(ELEMENTS.values())
        ] * 2
        assert {model.sha for model in models} == {hub.repo(model.id).history[0].sha for model in models}


class TestRefusalsAreTheHubs:
    """Each refusal reaches huggingface_hub as the error it raises for the Hub's."""

    def test_a_missing_repo(self, serve: Serve) -> None:
        hub = serve()

        with pytest.raises(RepositoryNotFoundError) as anonymous:
            api(hub).model_info("no/such")
        with pytest.raises(RepositoryNotFoundError) as known:
            api(hub, hub.TOKEN_NO_ACCESS).model_info("no/such")

        assert (status_of(anonymous), status_of(known)) == (401, 404)

    def test_a_private_repo_is_there_only_for_those_with_access(self, serve: Serve) -> None:
        hub = serve(Repo("org/secret", {}, private=True))

        for token in (False, hub.TOKEN_NO_ACCESS):
            with pytest.raises(RepositoryNotFoundError):
                api(hub, token).model_info("org/secret")
            assert list(api(hub, token).list_models()) == []
        assert api(hub, hub.TOKEN_OK).model_info("org/secret").private
        assert [model.id for model in api(hub, hub.TOKEN_OK).list_models()] == ["org/secret"]

    def test_a_gated_repo_shows_its_metadata_but_not_its_files(self, serve: Serve) -> None:
        hub = serve(_GATED)

        assert api(hub).model_info("org/gated").gated == "manual"
        for token, status in ((False, 401), (hub.TOKEN_NO_ACCESS, 403)):
            with pytest.raises(GatedRepoError) as refused:
                api(hub, token).parse_safetensors_file_metadata("org/gated", "model.safetensors")
            assert status_of(refused) == status
        granted = api(hub, hub.TOKEN_OK).get_safetensors_metadata("org/gated")
        assert granted.parameter_count == ELEMENTS

    def test_a_token_nobody_was_given(self, serve: Serve) -> None:
        with pytest.raises(HfHubHTTPError, match="Invalid credentials") as refused:
            api(serve(SMALL), "hf_nonsense").model_info("org/small")

        assert status_of(refused) == 401
        assert not isinstance(refused.value, RepositoryNotFoundError)

    def test_a_missing_revision(self, serve: Serve) -> None:
        with pytest.raises(RevisionNotFoundError):
            api(serve(SMALL)).model_info("org/small", revision="absent")

    def test_a_missing_file(self, serve: Serve) -> None:
        with pytest.raises(EntryNotFoundError):
            hf_hub_download("org/small", "absent.json", endpoint=serve(SMALL).endpoint)

    def test_a_disabled_repo(self, serve: Serve) -> None:
        with pytest.raises(DisabledRepoError):
            api(serve(Repo("org/off", {}, disabled=True))).model_info("org/off")

    def test_an_unknown_field_to_expand(self, serve: Serve) -> None:
        fields: list[Any] = ["nonsense"]

        with pytest.raises(HfHubHTTPError) as refused:
            api(serve(SMALL)).model_info("org/small", expand=fields)

        assert status_of(refused) == 400


class TestSnapshots:
    """A record becomes files of the stated number, in order and evenly filled."""

    def test_shards_hold_the_tensors_in_order_and_about_evenly(self, serve: Serve) -> None:
        weights = {"format": "safetensors", "files": 10}
        record = {**SMALL, "weights": weights, "tensors": [["w.{0..99}", "F16", [1000]]]}

        path = hf_hub_download("org/small", "model.safetensors.index.json", endpoint=serve(record).endpoint)
        index = json.loads(Path(path).read_bytes())

        assert index["metadata"] == {"total_size": 200_000}
        assert index["weight_map"] == {
            f"w.{number}": f"model-{number // 10 + 1:05d}-of-00010.safetensors" for number in range(100)
        }

    def test_a_torch_file_begins_with_the_pickle_of_its_state_dict(self) -> None:
        record = {**SMALL, "weights": {"format": "pytorch", "files": 1}}
        head = files_of(record)["pytorch_model.bin"]
        assert isinstance(head, Virtual)

        state_dict = _StandIn(io.BytesIO(head.prefix[64:])).load()

        assert head.prefix[30:46] == b"archive/data.pkl"
        assert state_dict == {
            tensor.name: (f"{_STORAGES[tensor.dtype]} of {math.prod(tensor.shape)}", 0, tensor.shape)
            for tensor in tensors_of(record)
        }

    def test_more_files_than_tensors_are_refused(self) -> None:
        with pytest.raises(ValueError, match="42 tensors cannot fill 99 files"):
            files_of({**SMALL, "weights": {"format": "safetensors", "files": 99}})

    def test_a_commit_is_named_by_its_content(self) -> None:
        once, again = repo_from_record(SMALL), repo_from_record({**SMALL})
        edited = repo_from_record({**SMALL, "texts": {}})

        shas = [repo.refs["refs/heads/main"].sha for repo in (once, again, edited)]

        assert shas[0] == shas[1] != shas[2]
