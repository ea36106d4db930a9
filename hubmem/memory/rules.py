"""Rules of thumb that people meet, one row each, beside the exact answer to the same question for one model."""

import re
from dataclasses import dataclass, replace
from functools import partial

from hubmem.errors import UsageError
from hubmem.memory.planning import planner
from hubmem.memory.rule import Example, Question, Rule, Symbols
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.units import GIB
from hubmem.weights.census import Census

_GB = 10**9

_NOTES = "“Memory Calculation for Large Language Models”, notes"
_BLOG = (
    "“Calculation of Memory requirement of LLM model of 1 B parameter”, 2024-08,"
    " arinsoracle.blogspot.com/2024/08/calculation-of-memory-requirement-of.html"
)
_HOSTING = "“How much memory is required to host a Llama 3.1 …”, 2024-07"
_ARTICLE = "“How much memory do we need for LLM?”, article"
_PAGE = "“GPU Memory for AI Models”, page; its formula is Sam Stoelinga's, substratus.ai"
_ELEUTHER = "“Transformer Math 101”, EleutherAI, 2023, blog.eleuther.ai/transformer-math"
_KORTHIKANTI = "Korthikanti et al., arXiv 2205.05198, section 4.1, equation 1"

_RUN = {"train": None}
_TRAIN = {"train": "full", "weight_dtype": None, "optimizer": "adamw"}
_FLOAT32 = {**_TRAIN, "precision": "fp32"}
_KEPT = ("activations kept", "activations")

WEIGHTS = Question(label="weights", changes=_RUN, terms=("weights",))
RUNNING = Question(label="running it, all in all", changes=_RUN)
CACHE = Question(label="KV cache", changes=_RUN, terms=("KV cache",))
FORWARD = Question(label="activations of running it", changes=_RUN, terms=("activations",))
TRAINING = Question(label="training it in float32 with AdamW, all in all", changes=_FLOAT32, itemsize=4)
MIXED = Question(
    label="training it in mixed precision with AdamW, all in all",
    changes={**_TRAIN, "precision": "amp"},
    itemsize=2,
)
KEPT = Question(
    label="activations of training it in bfloat16",
    changes={**_TRAIN, "precision": "bf16"},
    itemsize=2,
    terms=_KEPT,
)
ADAM = Question(
    label="states of AdamW, in float32", changes=_FLOAT32, itemsize=4, terms=("optimizer states",)
)
SGD = Question(
    label="states of SGD, in float32",
    changes={**_FLOAT32, "optimizer": "sgd"},
    itemsize=4,
    terms=("optimizer states",),
)
GRADIENTS = Question(label="gradients, in float32", changes=_FLOAT32, itemsize=4, terms=("gradients",))
_OF_PARAMETERS_ALONE = (WEIGHTS,)


def _hidden_cache(x: Symbols) -> float:
    return 2 * x.B * x.s * x.b * x.L * x.h


def _alpha_beta(alpha: int, beta: int, x: Symbols) -> float:
    return alpha * x.B * x.s * x.h + beta * x.B * x.a * x.s**2


RULES = (
    Rule(
        name="params-bytes",
        formula="P·b",
        question=WEIGHTS,
        least=lambda x: x.P * x.b,
        leaves_out="scales, zero points, and the layers a quantization leaves alone",
        sources=(_NOTES, _BLOG, _HOSTING, _ARTICLE, _PAGE),
        examples=(
            Example(
                case="7 B in float32",
                symbols=Symbols(P=7e9, b=4),
                printed=("26.04",),
                unit=GIB,
                remark="and calls GiB “GB”",
            ),
            Example(case="1 B in float32", symbols=Symbols(P=1e9, b=4), printed=("4",)),
            Example(case="1 B in bfloat16", symbols=Symbols(P=1e9, b=2), printed=("2",)),
            Example(case="1 B in int8", symbols=Symbols(P=1e9, b=1), printed=("1",)),
            Example(case="13 B in Q8", symbols=Symbols(P=13e9, b=1), printed=("13",)),
            Example(case="70 B in float32", symbols=Symbols(P=70e9, b=4), printed=("280",)),
            Example(case="70 B in float16", symbols=Symbols(P=70e9, b=2), printed=("140",)),
        ),
    ),
    Rule(
        name="precision-times",
        formula="P·b",
        question=RUNNING,
        least=lambda x: x.P * x.b,
        leaves_out="cache, activations, what the driver holds",
        sources=(_ARTICLE,),
    ),
    Rule(
        name="times-1.2",
        formula="P·4 B / (32/Q) · 1.2",
        question=RUNNING,
        least=lambda x: x.P * 4 / (32 / x.Q) * 1.2,
        leaves_out="the context's length and the batch: a fifth of the weights whatever they are",
        sources=(_PAGE, _ELEUTHER),
        examples=(
            Example(
                case="70 B in 16 bits",
                symbols=Symbols(P=70e9, b=2),
                printed=("168",),
                remark="and says that two A100 of 80 GB are enough, which have 160",
            ),
            Example(
                case="70 B in FP8",
                symbols=Symbols(P=70e9, b=1),
                printed=("21",),
                remark="a parameter is counted as 1 B and then divided by 4 as well",
            ),
        ),
    ),
    Rule(
        name="hosting",
        formula="P·b + 10…30 GB",
        question=RUNNING,
        least=lambda x: x.P * x.b + 10 * _GB,
        most=lambda x: x.P * x.b + 30 * _GB,
        leaves_out="the model's size, the context's length and the batch, in what is added",
        sources=(_HOSTING,),
        examples=(Example(case="70 B in float16", symbols=Symbols(P=70e9, b=2), printed=("150", "170")),),
    ),
    Rule(
        name="kv-hidden",
        formula="2·B·s·b·L·h",
        question=CACHE,
        least=_hidden_cache,
        leaves_out="that heads share keys and values, windows, latent and recurrent layers, the cache's own dtype",
        sources=(_ARTICLE,),
    ),
    Rule(
        name="two-tensors",
        formula="2·B·s·h·b·L",
        question=FORWARD,
        least=lambda x: 2 * x.B * x.s * x.h * x.b * x.L,
        leaves_out="that a forward pass keeps no layer's activations; MLP, scores and logits of the one it is in",
        sources=(_HOSTING,),
        examples=(
            Example(
                case="B 1, s 2,048, h 16,384, L 96 in float32",
                symbols=Symbols(b=4, s=2048, h=16384, L=96),
                printed=("25.8",),
                remark="and is said of 70 B: the shape is that of about 310 B",
            ),
            Example(
                case="B 1, s 2,048, h 16,384, L 96 in float16",
                symbols=Symbols(b=2, s=2048, h=16384, L=96),
                printed=("12.9",),
            ),
        ),
    ),
    Rule(
        name="batch-linear",
        formula="B · one sequence's",
        question=FORWARD,
        least=lambda x: x.B * x.one_sample,
        leaves_out="weights, which do not grow with the batch, where it is said of all memory",
        sources=(_PAGE,),
        examples=(
            Example(
                case="50 MB a sample, 32 of them",
                symbols=Symbols(B=32, one_sample=50e6),
                printed=("1600",),
                unit=10**6,
            ),
        ),
    ),
    Rule(
        name="times-six",
        formula="P·(4 + 20 B)",
        question=TRAINING,
        least=lambda x: x.P * (4 + 20),
        leaves_out="the context's length and the batch: 8 of the 20 B stand for all activations",
        sources=(_BLOG,),
        examples=(Example(case="1 B in float32", symbols=Symbols(P=1e9, b=4), printed=("24",)),),
    ),
    Rule(
        name="times-four-to-six",
        formula="4…6 · P·b",
        question=TRAINING,
        least=lambda x: 4 * x.P * x.b,
        most=lambda x: 6 * x.P * x.b,
        leaves_out="the context's length and the batch",
        sources=(_ARTICLE,),
    ),
    Rule(
        name="times-four",
        formula="4·P·b",
        question=TRAINING,
        least=lambda x: 4 * x.P * x.b,
        leaves_out="activations: weights, gradients and two states are four times the weights",
        sources=(_PAGE,),
        examples=(Example(case="7 B in float32", symbols=Symbols(P=7e9, b=4), printed=("112",)),),
    ),
    Rule(
        name="times-four-and-states",
        formula="(4·P·b + P·b + 2·P·b) · 1.2",
        question=TRAINING,
        least=lambda x: (4 * x.P * x.b + x.P * x.b + 2 * x.P * x.b) * 1.2,
        leaves_out="nothing, but counts gradients and states twice: the four times hold them",
        sources=(_PAGE,),
        examples=(Example(case="13 B in float32", symbols=Symbols(P=13e9, b=4), printed=("437",)),),
    ),
    Rule(
        name="training-sum",
        formula="P·b + 2·B·s·b·L·h + α·B·s·h + β·B·a·s² + 8·P + 4·P",
        question=TRAINING,
        least=lambda x: x.P * x.b + _hidden_cache(x) + _alpha_beta(34, 5, x) + 12 * x.P,
        leaves_out="all layers but one; counts a KV cache, and adds up what is never held at one moment",
        sources=(_ARTICLE,),
    ),
    Rule(
        name="bytes-16-18",
        formula="16…18 B · P",
        question=MIXED,
        least=lambda x: 16 * x.P,
        most=lambda x: 18 * x.P,
        leaves_out="activations, and what mixed precision keeps in 16 bits only while it is needed",
        sources=(_ELEUTHER,),
    ),
    Rule(
        name="alpha-beta",
        formula="34·B·s·h + 5·B·a·s²",
        question=KEPT,
        least=partial(_alpha_beta, 34, 5),
        leaves_out="all layers but one: its source counts a layer; logits",
        sources=(_ARTICLE,),
    ),
    Rule(
        name="alpha-beta-flash",
        formula="2·B·s·h + 0·B·a·s²",
        question=KEPT,
        least=partial(_alpha_beta, 2, 0),
        leaves_out="all layers but one, and all of it but a layer's input; logits",
        sources=(_ARTICLE,),
    ),
    Rule(
        name="alpha-beta-layers",
        formula="L·s·B·h·(34 + 5·a·s/h)",
        question=KEPT,
        least=lambda x: x.L * _alpha_beta(34, 5, x),
        leaves_out="kernels that make no matrix of scores, gated MLPs, heads that share keys and values; logits",
        sources=(_KORTHIKANTI, _ELEUTHER),
    ),
    Rule(
        name="adam-states",
        formula="8 B · P",
        question=ADAM,
        least=lambda x: 8 * x.P,
        leaves_out="nothing in float32; states have the dtype of the weights",
        sources=(_ARTICLE, _PAGE),
        examples=(Example(case="13 B", symbols=Symbols(P=13e9), printed=("104",)),),
    ),
    Rule(
        name="states-like-weights",
        formula="P·b",
        question=ADAM,
        least=lambda x: x.P * x.b,
        leaves_out="the second of Adam's two states",
        sources=(_HOSTING,),
    ),
    Rule(
        name="sgd-states",
        formula="4 B · P",
        question=SGD,
        least=lambda x: 4 * x.P,
        leaves_out="that only momentum is a state, and plain SGD has none",
        sources=(_ARTICLE, _PAGE),
    ),
    Rule(
        name="gradients",
        formula="4 B · P",
        question=GRADIENTS,
        least=lambda x: 4 * x.P,
        leaves_out="nothing in float32; gradients have the dtype of the weights",
        sources=(_ARTICLE, _PAGE),
        examples=(Example(case="13 B", symbols=Symbols(P=13e9), printed=("52",)),),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A rule's answer for a model beside the exact one.

    Attributes:
        nbytes: one figure, or the least and the most.
        exact: None where there is none; `unanswered` then says why.
    """

    rule: Rule
    nbytes: tuple[int, ...]
    exact: int | None
    unanswered: str = ""

    @property
    def ratios(self) -> tuple[float, ...]:
        """Each figure divided by the exact answer; none where that is 0 or not known."""
        return tuple(nbytes / self.exact for nbytes in self.nbytes) if self.exact else ()


def compare(
    architecture: Architecture | None, census: Census, workload: Workload, bits: int | None = None
) -> tuple[Comparison, ...]:
    """Each rule for a model on one device; where its layers are not known, those of its weights alone.

    Args:
        architecture: None where the model type is not known.
        census: its tensors.
        workload: what is asked of it.
        bits: of a stored weight, where the config says so; None for what the dtype's name says.
    """
    model = _Model(architecture, census, workload, bits)
    return tuple(
        model.compare(rule) for rule in RULES if architecture or rule.question in _OF_PARAMETERS_ALONE
    )


def named_bits(name: str) -> int:
    """The bits that a precision's or a dtype's name says, which is what a rule of thumb goes by.

    >>> named_bits("BF16"), named_bits("F8_E4M3"), named_bits("nf4"), named_bits("gguf:Q4_K_M")
    (16, 8, 4, 4)
    """
    digits = re.search(r"\d+", name)
    return int(digits[0]) if digits else 16


class _Model:
    """One model and workload, each plan made once."""

    def __init__(
        self, architecture: Architecture | None, census: Census, workload: Workload, bits: int | None
    ) -> None:
        self._architecture, self._census, self._workload = architecture, census, workload
        self._bits = named_bits(workload.weight_dtype) if workload.weight_dtype else bits
        self._plan = planner(architecture, census)

    def compare(self, rule: Rule) -> Comparison:
        nbytes = tuple(map(int, rule.nbytes(self._symbols(rule.question))))
        try:
            exact = rule.question.answer(self._plan(rule.question.ask(self._workload)))
        except UsageError as error:
            return Comparison(rule=rule, nbytes=nbytes, exact=None, unanswered=str(error))
        return Comparison(rule=rule, nbytes=nbytes, exact=exact)

    def _symbols(self, question: Question) -> Symbols:
        workload, architecture = self._workload, self._architecture
        bits = self._bits or named_bits(self._census.main_dtype)
        known = Symbols(
            P=self._census.parameters,
            b=question.itemsize or bits / 8,
            B=workload.batch,
            s=workload.context,
        )
        if architecture is None:
            return known
        return replace(
            known,
            L=len(architecture.layers),
            h=architecture.hidden_size,
            a=getattr(architecture.attention, "heads", 0),
            one_sample=FORWARD.answer(self._plan(FORWARD.ask(replace(workload, batch=1)))),
        )
