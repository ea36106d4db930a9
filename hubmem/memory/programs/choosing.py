"""The indexer of sparse attention, which chooses the keys that a query attends to (DeepSeek-V3.2, GLM-5).

Symbols: a heads of the indexer, D dimensions of one.

Source: DeepSeek-AI, arXiv 2512.02556, section 2.1; transformers 5.23, models/deepseek_v32/modeling_deepseek_v32.py,
DeepseekV32Indexer.
"""

from hubmem.memory.programs.operators import FLOAT32
from hubmem.memory.programs.tape import Extent, Storage, Tape, Value


def chosen(tape: Tape, heads: int, dim: int, x: Value) -> tuple[Value, ...]:
    """A score in float32 for each head, query and key, without gradients; then masks of what is not chosen.

    Keys are copied to every query where there is more than one sequence.
    """
    width = heads * dim
    queries = [Storage("queries of the indexer", "a·D", width, size) for size in (x.itemsize, x.itemsize)]
    scores = Storage("scores of the indexer", "a", heads, FLOAT32, Extent.PAIRS)
    factors = [Storage("queries of the indexer in float32", "a·D", width, FLOAT32)]
    if tape.arithmetic.batched:
        factors.append(Storage("keys of the indexer for each query", "D", dim, FLOAT32, Extent.PAIRS))
    tape.run("scores of the indexer", (), (), scratch=(*queries, *factors, scores))
    tape.run("scores of the indexer scaled", (), (), scratch=(*queries, scores, scores))
    masks = (Storage(name, "1", 1, 1, Extent.PAIRS) for name in ("keys left out", "keys seen"))
    return tape.run("choose keys", (), tuple(masks))
