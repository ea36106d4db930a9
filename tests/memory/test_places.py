"""Where weights lie, by what of a traced translator's gradients is made when."""

from hubmem.memory.places import by_place
from hubmem.memory.sharding import ranks
from hubmem.memory.workload import Workload

from tests.truth.training import model


def test_attention_across_is_the_decoders_own() -> None:
    architecture, census = model("bart-base", "BF16")
    rank = next(ranks(architecture, census, Workload(train="full")))
    places = by_place(rank, ((group, group.parameters) for group in census.groups))
    norms, attention, mlp = 2 * 768, 4 * (768 * 768 + 768), 2 * 768 * 3072 + 768 + 3072
    assert places["encoder 5"] == attention + mlp + 2 * norms
    assert places["decoder 5"] == 2 * attention + mlp + 3 * norms
