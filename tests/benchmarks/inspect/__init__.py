"""How long an answer takes, beside its peers and beside the protocol's own limit.

    pip install -e '.[test]' 'hf-mem==0.5.6'
    python -m tests.benchmarks.inspect

A Hub on 127.0.0.1 (`tests.hub_server`, in a process of its own) takes 40 ms for each response and serves
repos of the bundled snapshots. Every program is measured as a whole process, start-up included. The
programs of a case take turns, round after round, and what is told are medians over the rounds: of the
ratios within a round where two programs are compared, so that a machine busy with something else slows both.
"""
