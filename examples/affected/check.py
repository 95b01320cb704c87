"""The check of one component: each of its modules compiles and can be imported by a fresh interpreter."""

import os
import subprocess
import sys

for file in os.environ["BELL_UNIT_FILES"].splitlines():
    parts = file.removesuffix(".py").split("/")
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    command = f"import importlib.util as u; u.find_spec({module!r}).loader.get_code({module!r})"
    if parts[-1] != "__main__":
        command += f"; import {module}"
    print(module, flush=True)
    subprocess.run([sys.executable, "-c", command], check=True)
