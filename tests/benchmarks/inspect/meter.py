"""Run a command; print its output, then its wall seconds, CPU seconds, peak bytes and exit code on a line.

A script of its own, run without `site`: Linux counts the memory of the process that starts another as the
other's peak, so the one that starts it has to be small.
"""

import os
import sys
import time

command = sys.argv[1:]
started = time.perf_counter()
child = os.posix_spawn(command[0], command, os.environ)
_, status, used = os.wait4(child, 0)
wall_seconds = time.perf_counter() - started
peak_bytes = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print()
print(wall_seconds, used.ru_utime + used.ru_stime, peak_bytes, os.waitstatus_to_exitcode(status))
