"""`--plot FILE`: what is drawn goes to a file, whole or not at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hubmem.errors import UsageError

if TYPE_CHECKING:
    from hubmem.report import Report


def check_plot(path: Path, models: Sequence[str]) -> None:
    """Refuse a picture that could not be drawn, before anything is asked of the Hub.

    Raises:
        UsageError: there are several models, matplotlib is missing, or the name says no format.
    """
    from hubmem.render.plot import check_can_draw

    if len(models) > 1:
        raise UsageError(f"--plot draws one model, not {len(models)}.")
    check_can_draw(path)


def draw_plot(report: "Report", path: Path) -> None:
    """Draw a report's memory against context into a file.

    Raises:
        UsageError: the model's layers are not known, or the file cannot be written.
    """
    from hubmem.cli.output import refusing, replacing
    from hubmem.render.plot import draw, picture_of

    picture = picture_of(report)
    with refusing(path), replacing(path) as temporary:
        draw(picture, temporary, path.suffix.lower().removeprefix("."))
