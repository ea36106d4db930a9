"""What each group of comparisons is held to, and what other tools publish of their own accuracy.

Others' figures are their own claims of 2026-11 and were not reproduced: llm-d-planner 0.3.3 (pull request 205), vramcalc
0.1.2, vramscout 0.7.0, ridgepoint 0.1.2 (their READMEs and pages on PyPI).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The largest relative errors a group may have; None where none is set.

    Attributes:
        others: claims that other tools publish of the same figure.
    """

    median: float | None = None
    p95: float | None = None
    worst: float | None = None
    others: str = ""

    def __str__(self) -> str:
        """Such as `median ≤ 0.3 %, p95 ≤ 3 %`."""
        named = (("median", self.median), ("p95", self.p95), ("all", self.worst))
        return ", ".join(
            f"{name} exact" if limit == 0 else f"{name} ≤ {limit * 100:g} %"
            for name, limit in named
            if limit is not None
        )

    @property
    def tolerance(self) -> float:
        """The error above which a comparison is listed as a miss."""
        limits = [limit for limit in (self.worst, self.p95, self.median) if limit is not None]
        return limits[0] if limits else 0.03


EXACT = Goal(worst=0)
GOALS = {
    "parameters of published repos": EXACT,
    "parameters of quantized repos against their originals": EXACT,
    "bytes of quantized repos, predicted from their originals": Goal(worst=0.01),
    "cache of every type transformers can build and run": EXACT,
    "KV cache of published configs, derived by hand": EXACT,
    "weights of a vLLM rank": Goal(worst=0.005, others="llm-d-planner: 0.89 % mean of 57 runs"),
    "vLLM at start-up, without its pool": Goal(worst=0.03, others="ridgepoint: about 1 % on A100 and H100"),
    "pool left by a start-up of vLLM or SGLang": Goal(),
    "pool of vLLM and SGLang": Goal(
        worst=0.0025, others="llm-d-planner: 0.34 % mean of 57 runs; vramscout: 2.85 % mean"
    ),
    "concurrency and tokens of vLLM's hybrids": Goal(worst=0.0025),
    "states and tokens of SGLang's hybrids": Goal(worst=0.0025),
    "need of one request in vLLM": Goal(worst=0.0025),
    "cache and states of llama.cpp": Goal(worst=0.0025),
    "compute buffer of llama.cpp": Goal(worst=0.03),
    "size of GGUF files by quantization": Goal(worst=0.0005),
    "memory of accelerators by the rules fitted to them": Goal(),
    "training peak": Goal(median=0.003, p95=0.03, others="vramcalc: within 4.3 % in 19 runs"),
    "prefill peak": Goal(median=0.003, p95=0.03),
    "decode peak": Goal(p95=0.005),
    "LoRA peak": Goal(p95=0.06),
    "QLoRA peak": Goal(p95=0.06),
    "families never seen: training peak": Goal(p95=0.05, worst=0.1),
    "families never seen: prefill peak": Goal(p95=0.05, worst=0.1),
    "families never seen: decode peak": Goal(p95=0.05, worst=0.1),
    "families never seen: LoRA peak": Goal(p95=0.06, worst=0.1),
    "families never seen: QLoRA peak": Goal(p95=0.06, worst=0.1),
    "GPU peak measured while generating": Goal(),
    "GPU memory measured while decoding": Goal(),
    "estimated weights and caches of Llama 3.1": Goal(),
}
