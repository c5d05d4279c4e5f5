"""Reads what `cargo test --no-run --message-format=json` says, and lists the test programs for tests/beside.sh."""

import json
import os
import sys


def name(package, folder):
    """The identifier ends in `#NAME@VERSION`, or in `#VERSION` where the folder has the package's name."""
    found = package.rsplit("#", 1)[1].split("@")
    return found[0] if len(found) == 2 else os.path.basename(folder)


for line in sys.stdin:
    message = json.loads(line)
    if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
        folder = os.path.dirname(message["manifest_path"])
        package = name(message["package_id"], folder)
        print(package, message["target"]["name"], folder, message["executable"])
