"""One comment on a pull request, over a stand-in for GitHub's API on loopback."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hubmem.card.action.comments import Comments

from tests.card.action.job import NAMED, Job
from tests.hub_server.examples import SMALL

_COMMENTS = re.compile(r"/repos/org/project/issues/7/comments(?:\?per_page=(\d+)&page=(\d+))?")
_COMMENT = re.compile(r"/repos/org/project/issues/comments/(\d+)")


class GitHub:
    """The comments of one pull request, and who may write them."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.status: dict[str, int] = {}
        self.tokens: set[str] = set()
        github = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                github.calls.append(f"{self.command} {self.path}")
                github.tokens.add(self.headers["Authorization"])
                status = github.status.get(self.command, 200)
                value = github.act(self.command, self.path, body) if status < 400 else {"message": "no"}
                content = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the names http.server looks for

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.api = f"http://127.0.0.1:{self.server.server_port}"

    def act(self, method: str, path: str, body: bytes) -> Any:
        if comment := _COMMENT.fullmatch(path):
            [found] = [each for each in self.comments if each["id"] == int(comment[1])]
            found["body"] = json.loads(body)["body"]
            return found
        listed = _COMMENTS.fullmatch(path)
        assert listed, path
        if method == "POST":
            self.comments.append({"id": len(self.comments) + 1, "body": json.loads(body)["body"]})
            return self.comments[-1]
        size, page = int(listed[1]), int(listed[2])
        return self.comments[size * (page - 1) : size * page]

    def talk(self, count: int) -> None:
        """Comments of people, one of which has no text."""
        for number in range(count):
            self.comments.append(
                {"id": len(self.comments) + 1, "body": f"comment {number}" if number else None}
            )


@pytest.fixture
def github() -> Iterator[GitHub]:
    stand_in = GitHub()
    threading.Thread(target=stand_in.server.serve_forever, args=(0.01,), daemon=True).start()
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()


@pytest.fixture
def comments(github) -> Comments:
    return Comments(api=github.api, repository="org/project", number=7, token="ghs_x")


def test_the_first_run_writes_it_and_the_next_writes_it_anew(github, comments):
    assert comments.keep("README.md", "first", create=True) == ""
    assert comments.keep("README.md", "second", create=True) == ""

    assert [each["body"] for each in github.comments] == ["<!-- hubmem:comment README.md -->\nsecond"]
    assert github.tokens == {"Bearer ghs_x"}


def test_it_is_found_behind_a_hundred_others(github, comments):
    github.talk(150)
    comments.keep("README.md", "first", create=True)
    comments.keep("README.md", "second", create=True)

    assert len(github.comments) == 151


def test_cards_of_another_job_have_their_own(github, comments):
    comments.keep("README.md", "one", create=True)
    comments.keep("docs/*.md", "other", create=True)

    assert len(github.comments) == 2


def test_there_is_none_before_there_is_something_to_say(github, comments):
    assert comments.keep("README.md", "nothing", create=False) == ""
    assert github.comments == []


@pytest.mark.parametrize("status", [401, 403, 404, 500])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_token_that_may_not_is_told_and_not_raised(github, comments, method, status):
    github.status = {method: status}

    assert f"GitHub answered {status}" in comments.keep("README.md", "text", create=True)


def test_an_api_that_is_not_there_is_told_and_not_raised():
    comments = Comments(api="http://127.0.0.1:1", repository="org/project", number=7, token="x")

    assert "GitHub could not be asked" in comments.keep("README.md", "text", create=True)


def test_a_long_page_is_cut_to_what_github_takes(github, comments):
    comments.keep("README.md", "a line of text\n" * 10_000, create=True)

    assert len(github.comments[0]["body"]) <= 65_536
    assert github.comments[0]["body"].endswith("no room for here.")


class TestOfAJob:
    @pytest.fixture
    def job(self, tmp_path, connect, github) -> Job:
        connect({**SMALL, "config": {"model_type": "unheard-of"}})
        job = Job.begin(tmp_path)
        job.card(NAMED)
        job.inputs["token"] = "ghs_x"
        job.pull_request(job.commit(), api=github.api)
        return job

    def test_it_comments_on_an_old_section_and_takes_it_back(self, job, github):
        assert job.run() == 1
        assert "❌ out of date" in github.comments[0]["body"]

        job.run(mode="update")
        assert job.run() == 0
        assert len(github.comments) == 1
        assert "✅ up to date" in github.comments[0]["body"]

    def test_it_is_silent_where_all_is_well(self, job, github):
        job.run(mode="update", token="")

        assert job.run() == 0
        assert github.comments == []

    def test_a_token_that_may_not_does_not_fail_the_job(self, job, github, capsys):
        github.status = {"POST": 403}

        assert job.run(mode="update") == 0
        assert "No comment on the pull request: GitHub answered 403" in capsys.readouterr().out

    def test_without_a_token_github_is_not_asked(self, job, github):
        job.run(token="")

        assert github.calls == []
