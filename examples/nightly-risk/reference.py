#!/usr/bin/env python3
"""Writes reference.json: the figures of one business date with forty times the paths of a night, on other random
numbers. Tests compare a night with it. Takes minutes; run it again only when the calculation is meant to change.

    examples/nightly-risk/reference.py [DATE [PATHS]]      needs PyYAML"""
import json, os, subprocess, sys, tempfile
from concurrent.futures import ProcessPoolExecutor
import yaml

here = os.path.dirname(os.path.abspath(__file__))
date = sys.argv[1] if len(sys.argv) > 1 else "2026-03-03"
paths = int(sys.argv[2]) if len(sys.argv) > 2 else 400_000
TOLERANCE = 0.06


def scenario(programs, folder, name):
    sys.path.insert(0, programs)
    sys.argv[1:] = [folder]
    import generator, night, risk
    task = risk.task(night.read("positions.json")["positions"], night.read(f"market/{name}.json"),
                     night.read("calibration.json"), generator.stream("reference", date))
    var, shortfall = risk.figures(task, paths, "plain")
    return name, {"var99": round(var, 2), "es975": round(shortfall, 2), "deltaNormal": round(risk.delta_normal(task), 2)}


def main():
    with tempfile.TemporaryDirectory() as programs, tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(here, "scripts.yaml"), encoding="utf-8") as file:
            for name, text in yaml.safe_load(file)["data"].items():
                with open(os.path.join(programs, name), "w", encoding="utf-8") as program:
                    program.write(text)
        environment = os.path.join(programs, "environment.yaml")
        with open(environment, "w", encoding="utf-8") as file:
            json.dump({"metadata": {"id": "reference", "tenant": "reference"}, "spec": {}, "operation": {}}, file)
        os.environ.update(LIFECYCLE_TENANT_ENV_FILE=environment, LIFECYCLE_SCHEDULED_TIME=date, LIFECYCLE_ATTEMPT="1",
                          LIFECYCLE_OUTPUT_FILE=os.path.join(programs, "output"))
        for step in ("load_positions", "load_market_data", "check_completeness", "calibrate"):
            subprocess.run([sys.executable, "-B", f"{programs}/{step}.py", folder, folder], check=True)
        names = [entry[:-5] for entry in sorted(os.listdir(os.path.join(folder, "reference", date, "market")))]
        with ProcessPoolExecutor() as pool:
            figures = dict(pool.map(scenario, [programs] * 8, [folder] * 8, names))
    with open(os.path.join(here, "reference.json"), "w", encoding="utf-8") as file:
        json.dump({"businessDate": date, "paths": paths, "tolerance": TOLERANCE, "scenarios": figures}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
