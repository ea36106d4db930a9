"""Who may see what: tokens, missing, private, gated and disabled repos, with the Hub's statuses and codes.

The Hub answers 401, not 404, for a repo that an anonymous caller cannot see: it may exist for someone else.
"""

from collections.abc import Iterable

from .repos import Commit, Repo
from .responses import HubError, Request

TOKEN_OK = "hf_test_token_with_access"
TOKEN_NO_ACCESS = "hf_test_token_without_access"
ANONYMOUS = ""


class Shelf:
    """The repos that are published, by id."""

    def __init__(self, repos: Iterable[Repo]) -> None:
        self.repos: dict[str, Repo] = {}
        self._moved: dict[str, str] = {}
        for repo in repos:
            self.add(repo)

    def add(self, repo: Repo) -> None:
        self.repos[repo.id] = repo
        self._moved.update(dict.fromkeys(repo.former_ids, repo.id))

    def new_id(self, repo_id: str) -> str | None:
        """Where a renamed repo has gone."""
        return self._moved.get(repo_id)

    def visible(self, request: Request) -> list[Repo]:
        """The repos that a listing shows to the caller."""
        token = caller(request)
        return [repo for repo in tuple(self.repos.values()) if token == TOKEN_OK or not repo.private]

    def open(self, request: Request, repo_id: str) -> Repo:
        """A repo whose metadata the caller may see."""
        token = caller(request)
        repo = self.repos.get(repo_id)
        if repo is None or (repo.private and token != TOKEN_OK):
            if token == ANONYMOUS:
                raise HubError(401, "RepoNotFound", "Invalid username or password.")
            raise HubError(404, "RepoNotFound", "Repository not found")
        if repo.disabled:
            raise HubError(403, "DisabledRepo", "Access to this resource is disabled.")
        return repo

    def open_files(self, request: Request, repo_id: str) -> Repo:
        """A repo whose files the caller may read: a gated one wants a token that has been granted access."""
        repo = self.open(request, repo_id)
        token = caller(request)
        if repo.gated and token == ANONYMOUS:
            raise HubError(
                401,
                "GatedRepo",
                f"Access to model {repo_id} is restricted. You must have access to it and be "
                "authenticated to access it. Please log in.",
            )
        if repo.gated and token != TOKEN_OK:
            raise HubError(
                403,
                "GatedRepo",
                f"Access to model {repo_id} is restricted and you are not in the authorized list. "
                f"Visit https://huggingface.co/{repo_id} to ask for access.",
            )
        return repo


def caller(request: Request) -> str:
    """The request's token; `ANONYMOUS` without one."""
    authorization = request.headers.get("authorization")
    if authorization is None:
        return ANONYMOUS
    token = authorization.removeprefix("Bearer ")
    if token not in (TOKEN_OK, TOKEN_NO_ACCESS):
        raise HubError(401, None, "Invalid credentials in Authorization header")
    return token


def commit_of(repo: Repo, revision: str) -> Commit:
    commit = repo.commit(revision)
    if commit is None:
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return commit
