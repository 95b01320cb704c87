"""Compiles one module to byte code."""

import os
import py_compile
import sys

import bell

module = sys.argv[1]
target = os.path.join("build", "bytecode", module + "c")
py_compile.compile(os.path.join("build", "source", module), cfile=target, doraise=True)
bell.result({"module": module, "bytes": os.path.getsize(target)})
