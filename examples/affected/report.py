"""Says what each round cost, and fails if a round did more or less than it had to."""

import json
import os

with open(os.environ["BELL_INPUT"], encoding="utf-8") as file:
    rounds = {key: end["result"] for key, end in json.load(file)["results"].items()}
first, again, affected = (rounds[name] for name in ("first", "again", "affected"))
units = len(first["checked"])
assert first["parsed"] == first["files"] and first["known"] == 0, first
assert again["parsed"] == 0 and again["checked"] == [] and again["known"] == units, again
assert affected["parsed"] == 1 and affected["checked"] == affected["expected"], affected
assert 0 < len(affected["checked"]) < units, affected
summary = {"components": units, "checked": {name: len(end["checked"]) for name, end in rounds.items()}}
with open(os.environ["BELL_RESULT"], "w", encoding="utf-8") as file:
    json.dump(summary, file)
print(json.dumps(summary))
