#!/usr/bin/env python3
"""Is a night's report right? Compares what the steps of an operation gave with reference.json, and the report with both.

    tenantry op get OPERATION -o json | examples/nightly-risk/check.py WHICH REPORT

WHICH is `plain`, or `night` or `replay` of docs/guide/nightly-risk.md, whose repaired quotes have figures of their own.
Exit code 1 names everything that is not as it must be."""
import json, os, sys

here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "reference.json"), encoding="utf-8") as file:
    reference = json.load(file)
wanted = {**reference["scenarios"], **reference["repaired"].get(sys.argv[1], {})}
outputs = {step["hook"].split("/")[-1]: step.get("outputs", {}) for step in json.load(sys.stdin)["steps"]}
with open(sys.argv[2], encoding="utf-8") as file:
    lines = [line for line in file.read().splitlines() if line.startswith("| ")][1:]
wrong = []


def must(right, what):
    if not right:
        wrong.append(what)


shown, given = {}, {}
for line in lines:
    name, var, shortfall, how = (cell.strip() for cell in line.strip("|").split("|"))
    shown[name.strip("*")] = (var, shortfall, how, name.startswith("*"))
for name, figures in wanted.items():
    step = outputs[f"scenario-{name}"]
    given[name] = float(step["var99"])
    by_hand = "engine" not in step
    must(name in shown, f"{name} is not in the report")
    # Simulated on other random numbers: both lie around the truth. The analytic figure has no noise.
    for key, tolerance in (("var99", reference["tolerance"]), ("es975", reference["tolerance"]), ("deltaNormal", 1e-6)):
        off = 0.0 if by_hand else float(step[key]) / figures[key] - 1
        must(abs(off) <= tolerance, f"{name}: {key} is {off:+.3%} off the reference {figures[key]}")
    row = (f"{float(step['var99']):,.0f}", f"{float(step['es975']):,.0f}", "by hand" if by_hand else "by simulation")
    must(shown.get(name, ())[:3] == row, f"{name}: the report says {shown.get(name)}, the step gave {row}")
    print(f"{name:<20}{step['var99']:>14}{figures['var99']:>14}{'  by hand' if by_hand else ''}")
must(set(shown) == set(wanted), f"the report has the scenarios {sorted(shown)}")

# The sum: the base scenario's figures, the worst one by name, and how many nobody calculated.
worst = max(given, key=given.get)
total = outputs["aggregate"]
must(total["var99"] == outputs["scenario-base"]["var99"], f"the sum says {total['var99']} for the base scenario")
must((total["worstScenario"], total["worstVar99"]) == (worst, outputs[f"scenario-{worst}"]["var99"]),
     f"the worst is {worst}, the sum says {total}")
must(total["byHand"] == str(sum("engine" not in outputs[f"scenario-{name}"] for name in wanted)), f"by hand: {total}")
must([name for name, row in shown.items() if row[3]] == [worst], f"the report shows another one than {worst} as the worst")
for what in wrong:
    print(what, file=sys.stderr)
sys.exit(1 if wrong else 0)
