"""Measured and published truth, each set a module whose `rows()` holds it beside what hubmem predicts.

`python -m tests.accuracy` reads every module here and reports them together. A new truth set is a new module: its
docstring says where its figures come from, and it yields a `Comparison` a row, from files under `fixtures/` or the
package's own data alone. `REASONS` may say why rows miss in whose `group: name` a pattern is found; what a group is
held to is a row of `goals.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One measured number beside the predicted one.

    `name` says which model and setting, `group` which figures are summed up together ("prefill peak", "vLLM weights");
    both figures are in `unit`. `predicted` is None where hubmem refuses to answer, and counts as a miss.
    """

    name: str
    group: str
    unit: str
    measured: float
    predicted: float | None

    @property
    def error(self) -> float | None:
        """Signed relative error, predicted against measured; None without an answer.

        >>> Comparison(name="a", group="b", unit="bytes", measured=100, predicted=98).error
        -0.02
        """
        if self.predicted is None:
            return None
        if self.measured == 0:
            return 0.0 if self.predicted == 0 else float("inf")
        return (self.predicted - self.measured) / self.measured
