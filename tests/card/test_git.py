"""What git knows of a card's folder."""

import pytest
from hubmem.card.git import folder_before, hub_remote, hub_repo

from tests import git


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git.run(folder, "init", "-q")
    return folder


@pytest.mark.parametrize(
    ("url", "repo"),
    [
        ("https://huggingface.co/org/name", "org/name"),
        ("https://huggingface.co/org/name.git/", "org/name"),
        ("https://user:hf_token@huggingface.co/org/na.me-7B", "org/na.me-7B"),
        ("git@hf.co:org/name.git", "org/name"),
        ("ssh://git@hf.co/org/name", "org/name"),
        ("https://huggingface.co/spaces/org/name", None),
        ("https://huggingface.co/datasets/org/name", None),
        ("https://huggingface.co.example.com/org/name", None),
        ("https://github.com/org/name", None),
        ("/srv/git/name.git", None),
    ],
)
def test_a_url_of_the_hub_names_a_model(url, repo):
    assert hub_repo(url) == repo


def test_origin_comes_before_other_remotes(repository):
    git.run(repository, "remote", "add", "backup", "https://huggingface.co/org/backup")
    assert hub_remote(repository) == "org/backup"

    git.run(repository, "remote", "add", "origin", "https://huggingface.co/org/name")
    assert hub_remote(repository) == "org/name"


def test_only_the_clones_own_folder_is_the_repo(repository, tmp_path):
    git.run(repository, "remote", "add", "origin", "https://huggingface.co/org/name")
    (repository / "docs").mkdir()

    assert hub_remote(repository / "docs") is None
    assert hub_remote(tmp_path) is None


def test_a_folder_as_it_was(repository):
    (repository / "docs").mkdir()
    (repository / "docs" / "README.md").write_bytes(b"old\r\n")
    (repository / "docs" / "link").symlink_to("/etc/passwd")
    (repository / "docs" / "below").mkdir()
    (repository / "docs" / "below" / "x").write_text("x")
    old = git.commit(repository)
    (repository / "docs" / "README.md").write_text("new")
    git.commit(repository)

    with folder_before(repository / "docs", old) as folder:
        assert folder is not None
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"README.md": b"old\r\n"}

    assert not folder.exists()
    assert git.run(repository, "status", "--porcelain") == ""


def test_a_shallow_clone_fetches_the_commit(repository, tmp_path):
    (repository / "README.md").write_text("old")
    old = git.commit(repository)
    (repository / "README.md").write_text("new")
    git.commit(repository)
    shallow = tmp_path / "shallow"
    git.run(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", str(shallow))

    with folder_before(shallow, old) as folder:
        assert folder is not None
        assert (folder / "README.md").read_text() == "old"


@pytest.mark.parametrize("commit", ["0" * 40, "nonsense"])
def test_a_commit_that_is_nowhere_is_none(repository, commit):
    with folder_before(repository, commit) as folder:
        assert folder is None


def test_without_git_nothing_is_known(repository, monkeypatch):
    git.run(repository, "remote", "add", "origin", "https://huggingface.co/org/name")
    monkeypatch.setenv("PATH", "")

    assert hub_remote(repository) is None
    with folder_before(repository, "0" * 40) as folder:
        assert folder is None
