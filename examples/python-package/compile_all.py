"""Submits one subtask for each module of the package, and waits for them."""

import os
import pathlib
import sys

import bell

source = pathlib.Path("build/source")
modules = sorted(path.relative_to(source).as_posix() for path in (source / os.environ["PACKAGE"]).rglob("*.py"))
bell.subtasks(
    [{"key": f"compile/{module}", "run": [sys.executable, "compile_one.py", module]} for module in modules],
    join="complete",
)
