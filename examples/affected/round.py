"""Analyses the package, makes a plan of it, runs that, and counts what was done and what was known."""

import json
import os
import subprocess
import sys

STORE = ["--store", "sqlite:build/check/bell.db"]
SOURCE = "build/source"

os.makedirs(f"{SOURCE}/.bellwether", exist_ok=True)


def bell(*args, cwd="."):
    return subprocess.run(["bell", *args], cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


# Inside the tree, so that what was read is kept in its own folder.
report = json.loads(bell("analyze", "--json", cwd=SOURCE))
plan = bell("analyze", "--by", "component", "--plan", "../../check.toml", cwd=SOURCE)
os.makedirs("build/check", exist_ok=True)
with open("build/check/plan.json", "w", encoding="utf-8") as file:
    file.write(plan)
events = bell("run", "build/check/plan.json", "--new", "--json", *STORE).splitlines()
ends = [event for event in map(json.loads, events) if event.get("type") == "task.completed"]
known = sorted(event["key"] for event in ends if event.get("reason") == "cached")
done = sorted(event["key"] for event in ends if event.get("reason") != "cached")
asked = [word for word in sys.argv[1:] if not word.startswith("-")]
expected = None
if asked:
    told = json.loads(bell("analyze", SOURCE, "--json", "--affected-by", *asked))
    files = set(told["affected"]["files"])
    units = json.loads(plan)["tasks"]
    of = {name: set(body["env"]["BELL_UNIT_FILES"].splitlines()) for name, body in units.items()}
    expected = sorted(name for name, own in of.items() if own & files)
with open(os.environ["BELL_RESULT"], "w", encoding="utf-8") as file:
    json.dump(
        {
            "files": report["statistics"]["total_files"],
            "parsed": report["statistics"]["parsed"],
            "checked": done,
            "known": len(known),
            "expected": expected,
        },
        file,
    )
