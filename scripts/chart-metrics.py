#!/usr/bin/env python3
"""Compares what the dashboards and alerts of the charts ask for with what the server exposes: every
metric by its name, and every label that is matched or grouped by.

What is exposed is read from the sources, because a server shows a counter only after its first step.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What Prometheus adds to everything that it scrapes from pods.
ADDED = {"namespace", "pod"}
FUNCTIONS = {"absent", "and", "avg", "by", "count", "increase", "max", "min", "offset", "or", "rate", "sum", "unless", "vector", "label_values"}
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"


def exposed():
    """Metrics by name, each with its labels."""
    found = {}
    for file in [*ROOT.glob("chat-sdk/src/**/*.rs"), *ROOT.glob("chat-server/src/**/*.rs")]:
        text = file.read_text()
        constants = dict(re.findall(r'const ([A-Z_]+): &str = "([a-z0-9_]+)"', text))
        named = {**METRIC_CONSTANTS, **constants}
        for kind, arguments in re.findall(r"\b(counter|gauge|histogram)!\(((?:[^()]|\([^()]*\))*)\)", text):
            first = arguments.split(",")[0].strip()
            name = first.strip('"') if first.startswith('"') else named.get(first.split("::")[-1])
            if name is None:
                sys.exit(f"{file}: the name of the metric {first} is not found")
            labels = set(re.findall(r'"([a-z_]+)"\s*=>', arguments))
            suffixes = ["_sum", "_count", ""] if kind == "histogram" else [""]
            for suffix in suffixes:
                found.setdefault(name + suffix, set()).update(labels)
        for name in re.findall(r'show\("(process_[a-z_]+)"', text):
            found[name] = set()
    return found


# Constants are named in one file and used in others.
METRIC_CONSTANTS = dict(
    re.findall(
        r'const ([A-Z_]+): &str = "([a-z0-9_]+)"',
        (ROOT / "chat-server/src/telemetry/metrics.rs").read_text(),
    )
)


def asked():
    """Where, and what."""
    for file in ROOT.glob("charts/*/files/dashboards/*.json"):
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"{file.name}, {panel['title']}", target["expr"]
                for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                    yield f"{file.name}, {panel['title']}", f"{target['expr']} by ({label})"
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{file.name}, variable {variable['name']}", variable["query"]["query"]
    for file in ROOT.glob("charts/*/templates/_alerts.tpl"):
        alert = "?"
        for line in file.read_text().splitlines():
            if found := re.match(r"- alert: (\w+)", line):
                alert = found[1]
            if found := re.match(r"  expr: (.*)", line):
                yield f"alert {alert}", re.sub(r"{{-.*?-}}", "", found[1])


def main():
    known = exposed()
    problems, count = [], 0
    for where, expression in asked():
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
        groups = " ".join(re.findall(r"\bby \(([^)]*)\)", bare))
        bare = re.sub(r"\bby \([^)]*\)", " ", bare)
        matched = " ".join(re.findall(r"{([^}]*)}", bare))
        labels = set(re.findall(rf"({NAME})\s*(?:=~|!=|!~|=)", matched)) | set(re.findall(NAME, groups))
        bare = re.sub(r"{[^}]*}|\[[^\]]*\]|\b\d+[smhd]\b", " ", bare)
        if bare.startswith("label_values("):
            metric, label = re.fullmatch(rf"label_values\(({NAME})\s*, ({NAME})\)", bare).groups()
            bare, labels = metric, labels | {label}
        metrics = set(re.findall(NAME, bare)) - FUNCTIONS
        if not metrics:
            problems.append(f"{where}: asks for nothing: {expression}")
        for metric in metrics:
            count += 1
            if metric not in known:
                problems.append(f"{where}: no server exposes {metric}")
        has = ADDED.union(*(known.get(metric, set()) for metric in metrics))
        problems += [f"{where}: {', '.join(metrics)} has no label {label}" for label in labels - has]
    if not count:
        problems.append("no dashboard and no alert was found")
    if problems:
        sys.exit("\n".join(problems))


main()
