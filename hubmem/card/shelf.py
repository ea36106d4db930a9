"""The models that cards are about, each read once."""

from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from hubmem.card.card import Card
from hubmem.card.checkout import open_checkout
from hubmem.card.section import contexts_for
from hubmem.card.settings import Settings
from hubmem.card.subject import Subject
from hubmem.errors import HubUnreachable
from hubmem.hub.opening import MODELS_AT_ONCE, Access, open_model, open_session
from hubmem.inspection import assess
from hubmem.models.families import read_architecture
from hubmem.report import Report
from hubmem.request import Request
from hubmem.snapshot import Snapshot, take_snapshot


class Shelf:
    """Models on order, however many cards are about each.

    Args:
        access: how they are read; without a session, one is opened for all of them.
    """

    def __init__(self, access: Access) -> None:
        self._access = replace(access, session=access.session or open_session(warn=access.warn))
        # Never shut down: waiting for it would wait for the network even after Ctrl-C.
        self._pool = ThreadPoolExecutor(MODELS_AT_ONCE)
        self._snapshots: dict[Hashable, Future[Snapshot]] = {}

    def order(self, card: Card) -> None:
        """Begin to read the models of a card."""
        for subject in card.subjects:
            key = _key(card, subject)
            if key not in self._snapshots:
                self._snapshots[key] = self._pool.submit(read_model, card, subject, self._access)

    def snapshot(self, card: Card, subject: Subject) -> Snapshot:
        """A model of a card that is on order.

        Raises:
            HubmemError: it cannot be read.
        """
        return self._snapshots[_key(card, subject)].result()


def read_model(card: Card, subject: Subject, access: Access) -> Snapshot:
    """Read one model of a card.

    Raises:
        HubUnreachable: also where an older answer could stand in, which must not pass for the present one.
        HubmemError: it cannot be read.
    """
    if subject.beside:
        opened = open_checkout(card.file.parent, root=card.root, repo=subject.repo, access=access)
    else:
        opened = open_model(subject.name, access)
    snapshot = take_snapshot(opened)
    if snapshot.stands_in and not access.offline:
        raise HubUnreachable(f"The Hub could not be asked about {subject.label}.", hint="Try again.")
    return snapshot


def assess_for(snapshot: Snapshot, settings: Settings) -> Report:
    """The report a section is made from: its fit matrix is at the first of its contexts."""
    architecture = read_architecture(snapshot.config) if snapshot.config else None
    context = contexts_for(settings, architecture)[0]
    return assess(snapshot, Request.of(gpus=settings.gpus, context=context))


def _key(card: Card, subject: Subject) -> Hashable:
    return subject.name, card.file.parent if subject.beside else None
