"""Decoders with recurrent layers."""

from hubmem.models import feed_forward, recurrence
from hubmem.models.family import Family
from hubmem.models.patterns import LINEAR, all_of
from hubmem.models.stack import Stack

HYBRIDS: tuple[Family, ...] = (
    Family(
        "mamba falcon_mamba",
        Stack(pattern=all_of(LINEAR), mixers={LINEAR: recurrence.mamba1}, feed_forward=feed_forward.none),
    ),
)
