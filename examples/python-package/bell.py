"""What a task needs of Bellwether's attempt protocol (docs/tasks.md), in one screen."""

import json
import os


def inputs():
    """The document that tells everything about this attempt, with the results of its prerequisites."""
    with open(os.environ["BELL_INPUT"], encoding="utf-8") as file:
        return json.load(file)


def result(value):
    """Leaves the result of this task for those that wait for it."""
    with open(os.environ["BELL_RESULT"], "w", encoding="utf-8") as file:
        json.dump(value, file)


def subtasks(tasks, join=None):
    """Submits subtasks when this attempt completes; with `join` this task waits for them."""
    with open(os.environ["BELL_SUBTASKS"], "w", encoding="utf-8") as file:
        lines = tasks + ([{"join": join}] if join else [])
        file.writelines(json.dumps(line) + "\n" for line in lines)
