"""Every parser on mutated real inputs: a result or a hubmem error, within bounded time and memory.

::

    python -m tests.fuzz                      ten minutes of each parser
    python -m tests.fuzz gguf --minutes 1     one of them

A random input is told apart from those before it by what hubmem says of it; what is said for the first time
makes an input a parent of others. No instrumentation is needed, and a minute tries tens of thousands.
"""
