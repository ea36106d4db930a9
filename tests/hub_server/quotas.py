"""Rate limits: fixed windows by caller and bucket, and the headers that announce them on every response.

Source: the Hub's documentation, https://huggingface.co/docs/hub/rate-limits
"""

import math
import threading
import time
from dataclasses import dataclass

from .faults import Settings


def bucket_of(path: str) -> str:
    """Which quota a request to the Hub draws on."""
    if "/resolve/" in path or path.startswith("/api/resolve-cache/"):
        return "resolvers"
    return "api" if path.startswith("/api/") else "pages"


@dataclass(slots=True)
class _Window:
    started: float
    used: int = 0


class Quotas:
    """What each caller has used of each bucket in its present window."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], _Window] = {}

    def draw(self, caller: str, bucket: str, settings: Settings) -> tuple[bool, dict[str, str]]:
        """Count one request: whether the quota allowed it, and the headers that say what is left."""
        if bucket not in settings.quotas:
            return True, {}
        now = time.monotonic()
        with self._lock:
            window = self._windows.get((caller, bucket))
            if window is None or now >= window.started + settings.window_seconds:
                window = self._windows[caller, bucket] = _Window(now)
            quota = settings.quotas[bucket]
            allowed = window.used < quota
            window.used += allowed
            reset_seconds = math.ceil(window.started + settings.window_seconds - now)
            return allowed, quota_headers(bucket, quota - window.used, reset_seconds, settings)


def quota_headers(bucket: str, remaining: int, reset_seconds: int, settings: Settings) -> dict[str, str]:
    quota, window_seconds = settings.quotas.get(bucket, 0), math.ceil(settings.window_seconds)
    return {
        "RateLimit": f'"{bucket}";r={max(0, remaining)};t={reset_seconds}',
        "RateLimit-Policy": f'"fixed window";"{bucket}";q={quota};w={window_seconds}',
    }
