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
# What docs/guide/nightly-risk.md repairs: in the night by hand, and for the replay by the vendor.
REPAIRED = {
    "night": {"volatility-up": {"EURJPY.vol": 0.185}},
    "replay": {"volatility-up": {"EURJPY.vol": 0.19}, "dollar-weak": {"EURUSD": 1.2}},
}


def scenario(programs, folder, name, quotes):
    sys.path.insert(0, programs)
    sys.argv[1:] = [folder]
    import generator, night, risk
    data = night.read(f"market/{name}.json")
    for quote, value in quotes.items():
        data["quotes"][quote]["value"] = value
    task = risk.task(night.read("positions.json")["positions"], data, night.read("calibration.json"),
                     generator.stream("reference", date))
    var, shortfall = risk.figures(task, paths, "plain")
    return {"var99": round(var, 2), "es975": round(shortfall, 2), "deltaNormal": round(risk.delta_normal(task), 2)}


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
            begun = {name: pool.submit(scenario, programs, folder, name, {}) for name in names}
            repaired = {when: {name: pool.submit(scenario, programs, folder, name, quotes)
                               for name, quotes in which.items()} for when, which in REPAIRED.items()}
            figures = {name: one.result() for name, one in begun.items()}
            repaired = {when: {name: one.result() for name, one in which.items()} for when, which in repaired.items()}
    with open(os.path.join(here, "reference.json"), "w", encoding="utf-8") as file:
        json.dump({"businessDate": date, "paths": paths, "tolerance": TOLERANCE, "scenarios": figures,
                   "repaired": repaired}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
