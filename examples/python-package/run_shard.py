"""Runs every n-th module of the package's test-suite."""

import os
import sys
import time
import unittest

import bell

shard, shards = int(sys.argv[1]), int(os.environ["SHARDS"])
os.chdir("build/source")
sys.path.insert(0, os.getcwd())


def cases(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from cases(test)
        else:
            yield test


found = list(cases(unittest.defaultTestLoader.discover("tests", top_level_dir=".")))
modules = sorted({type(test).__module__ for test in found})
mine = set(modules[shard - 1 :: shards])
began = time.monotonic()
outcome = unittest.TextTestRunner(verbosity=1).run(
    unittest.TestSuite(test for test in found if type(test).__module__ in mine)
)
bell.result(
    {
        "shard": shard,
        "modules": len(mine),
        "run": outcome.testsRun,
        "failed": len(outcome.failures) + len(outcome.errors),
        "skipped": len(outcome.skipped),
        "seconds": round(time.monotonic() - began, 2),
    }
)
sys.exit(not outcome.wasSuccessful())
