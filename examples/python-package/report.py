"""Sums up what the other tasks found: build/report.json and build/report.md."""

import json
import os

import bell

results = {key: end["result"] for key, end in bell.inputs()["results"].items()}
shards = [results[key] for key in sorted(results) if key.startswith("test-") and results[key]]
compiled = list((results.get("compile") or {}).values())
report = {
    "package": f"{os.environ['PACKAGE']} {os.environ['VERSION']}",
    "modules": len(compiled),
    "bytes": sum(module["bytes"] for module in compiled),
    "tests": sum(shard["run"] for shard in shards),
    "failed": sum(shard["failed"] for shard in shards),
    "skipped": sum(shard["skipped"] for shard in shards),
    "shards": shards,
}
columns = ["shard", "modules", "run", "failed", "skipped", "seconds"]
with open("build/report.json", "w", encoding="utf-8") as file:
    json.dump(report, file, indent=2)
with open("build/report.md", "w", encoding="utf-8") as file:
    print(f"# {report['package']}\n", file=file)
    print(f"{report['modules']} modules compile to {report['bytes']} bytes.\n", file=file)
    for row in [columns, ["---"] * len(columns), *([shard[name] for name in columns] for shard in shards)]:
        print("|", " | ".join(str(value) for value in row), "|", file=file)
bell.result({name: value for name, value in report.items() if name != "shards"})
