"""A score of each head's own beside the tokens' (Xiao et al., arXiv 2309.17453).

Source: transformers 5.23, eager_attention_forward of models/gpt_oss and models/granite_swa.
"""

from hubmem.memory.programs.operators import copy, in_float32, unary
from hubmem.memory.programs.tape import Storage, Tape, Value


def factor_of_sinks(tape: Tape, heads: int, scores: Value) -> Value:
    """σ(log-sum-exp of scores − sink), for which the scores themselves are kept (Granite 4)."""
    factor = Storage("σ(log-sum-exp − sink)", "a", heads, scores.itemsize)
    scores = in_float32(tape, scores)
    return tape.run("log-sum-exp", (scores,), (factor,), saves=(scores, Value(factor, heads)))[0]


def softmax_with_sinks(tape: Tape, scores: Value) -> Value:
    """gpt-oss: a column more, the maximum taken off first."""
    joined = copy(tape, scores, "scores with sinks")
    with tape.holding(joined):
        lowered = unary(tape, joined, "scores less their maximum")
    with tape.holding(lowered):
        return unary(tape, lowered, "softmax", saves_output=True)
