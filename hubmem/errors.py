"""Every error hubmem raises on purpose, and the exit code each ends in.

::

    HubmemError
    ├── UsageError            2   the command line or a workload asks for something that cannot be
    │   ├── UnknownGpu        2   no such accelerator in the catalogue
    │   └── CardRefused       2   a card that cannot be read or spliced; names the line
    ├── UnreadableRepo        3   this repo cannot be answered for
    │   ├── RepoNotFound      3   missing, or private and the token does not open it
    │   ├── RevisionNotFound  3
    │   ├── GatedRepo         3   access must be asked for on the Hub
    │   ├── TokenRefused      3   the Hub does not know this token
    │   ├── RangeIgnored      3   the server would send whole weight files
    │   ├── NoWeights         3   no file whose header can be read
    │   ├── MalformedConfig   3   names the key path
    │   └── MalformedWeights  3   names the file
    ├── HubUnreachable        4   try again
    │   ├── NotCached         4   offline, and nothing stored for this repo
    │   └── RateLimited       4
    └── StoreUnavailable      4   results cannot be kept: a full disk, another program's lock

A message says what is wrong and where, cut short where it quotes something long; `hint` says what to do next.
Exit code 0 means answered and 1 means the answer is no (`--check`): neither is an error.
"""

# A file may hold a name or a value of a million characters.
_LONGEST_MESSAGE = 500


class HubmemError(Exception):
    """Base of all errors with a message for people.

    Attributes:
        exit_code: what the command line exits with.
        retryable: whether the same call may succeed later.
        hint: what to do next, one or two sentences, or "".
    """

    exit_code = 3
    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}…")
        self.hint = hint


class UsageError(HubmemError):
    """The request contradicts itself or cannot be read."""

    exit_code = 2


class UnknownGpu(UsageError):
    """No accelerator of that name is in the catalogue."""


class UnreadableRepo(HubmemError):
    """This repo cannot be answered for; another may."""


class RepoNotFound(UnreadableRepo):
    """The repo does not exist, or is private."""


class RevisionNotFound(UnreadableRepo):
    """The repo has no such branch, tag, pull request or commit."""


class GatedRepo(UnreadableRepo):
    """The repo's files are shown only to users its owner has let in."""


class TokenRefused(UnreadableRepo):
    """The Hub does not accept this token."""


class RangeIgnored(UnreadableRepo):
    """The server answers a request for a file's first bytes with the whole file, which was not read."""


class NoWeights(UnreadableRepo):
    """The repo holds no weight file that can be read."""


class MalformedConfig(UnreadableRepo):
    """`config.json` is not what its format promises.

    Attributes:
        key: the path of the offending key, such as `text_config.num_attention_heads`, or "".
    """

    def __init__(self, message: str, *, key: str = "", hint: str = "") -> None:
        super().__init__(f"{key}: {message}" if key else message, hint=hint)
        self.key = key


class MalformedWeights(UnreadableRepo):
    """A weight file, or the index that lists them, is not what its format promises.

    Attributes:
        path: the file inside the repo.
    """

    def __init__(self, path: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{path}: {message}", hint=hint)
        self.path = path


class HubUnreachable(HubmemError):
    """The Hub did not answer, or not usably, after the retries."""

    exit_code = 4
    retryable = True


class NotCached(HubUnreachable):
    """Offline, and nothing stored answers for this repo."""

    retryable = False


class RateLimited(HubUnreachable):
    """The Hub's quota for this token or address is spent."""


class StoreUnavailable(HubmemError):
    """The file that keeps a scan's results cannot be written, and waiting did not help."""

    exit_code = 4
    retryable = True
