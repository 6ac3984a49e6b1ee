#!/usr/bin/env python3
"""Writes what people read about a chart's values from the comments in its values.yaml: the table in
README.md and the descriptions in values.schema.json. `--check` writes nothing and fails if that would
change something.

Every value has a comment that begins with `# --`, or stands in a block that has one. What is written is
the YAML that our values are: blocks of two spaces, everything else on one line.
"""

import json
import re
import sys
from pathlib import Path

CHARTS = Path(__file__).resolve().parent.parent / "charts"
BEGIN = "<!-- What follows is written by `make chart-docs` from values.yaml. -->"


class Node:
    """A key of the file: its text on the line, what stands below it, and its comment."""

    def __init__(self, path, text, comment):
        self.path, self.text, self.comment, self.children = path, text, comment, []

    def default(self):
        if not self.children:
            return self.text
        inner = ", ".join(f"{child.path[-1]}: {child.default()}" for child in self.children)
        return "{" + inner + "}"


def parse(file):
    """The keys of the file as a tree."""
    root = Node((), "", None)
    open_nodes, comment = [(-1, root)], []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        bare = line.strip()
        if not bare:
            comment = []
            continue
        if bare.startswith("#"):
            text = bare[1:].strip()
            comment = [text[2:].strip()] if text.startswith("--") else comment and comment + [text]
            continue
        found = re.fullmatch(r"( *)([A-Za-z][A-Za-z0-9_]*):(?: (.+))?", line)
        if not found or len(found[1]) % 2:
            sys.exit(f"{file}:{number}: only `key: value` is read here")
        indent = len(found[1])
        while open_nodes[-1][0] >= indent:
            open_nodes.pop()
        parent = open_nodes[-1][1]
        node = Node((*parent.path, found[2]), (found[3] or "").strip(), " ".join(comment))
        parent.children.append(node)
        open_nodes.append((indent, node))
        comment = []
    return root


def described(node):
    """The nodes with a comment, in the order of the file. One without has to be a block of such."""
    for child in node.children:
        if child.comment:
            yield child
        elif child.children:
            yield from described(child)
        else:
            sys.exit(f"{'.'.join(child.path)} has no comment that begins with `# --`")


def table(nodes):
    yield "| value | default | |"
    yield "| --- | --- | --- |"
    for node in nodes:
        default = node.default().replace("|", "\\|")
        yield f"| `{'.'.join(node.path)}` | `{default}` | {node.comment.replace('|', chr(92) + '|')} |"


def describe(schema, nodes, chart):
    """The schema with the comments as descriptions."""
    for node in nodes:
        place = schema
        for word in node.path:
            place = place.get("properties", {}).get(word)
            if place is None:
                sys.exit(f"{chart}: values.schema.json does not know {'.'.join(node.path)}")
        place["description"] = node.comment
    return schema


def check_known(schema, node, chart):
    """Nothing in the schema that is not in the file, or a reader would never hear of it."""
    names = {child.path[-1]: child for child in node.children}
    for word, place in schema.get("properties", {}).items():
        if not node.path and word == "enabled":
            # The switch of a parent chart, which is in no chart's own values.
            continue
        if word in names:
            if names[word].children:
                check_known(place, names[word], chart)
        else:
            sys.exit(f"{chart}: values.yaml does not say {'.'.join((*node.path, word))}")


def main():
    stale = []
    for chart in sorted(path.parent for path in CHARTS.glob("*/Chart.yaml")):
        root = parse(chart / "values.yaml")
        nodes = list(described(root))
        schema_file, readme_file = chart / "values.schema.json", chart / "README.md"
        schema = json.loads(schema_file.read_text())
        check_known(schema, root, chart.name)
        intro = readme_file.read_text().split(BEGIN)[0]
        wanted = {
            readme_file: intro + "\n".join([BEGIN, "", *table(nodes), ""]),
            schema_file: json.dumps(describe(schema, nodes, chart.name), indent=2, ensure_ascii=False) + "\n",
        }
        for file, text in wanted.items():
            if file.read_text() == text:
                continue
            stale.append(str(file.relative_to(CHARTS.parent)))
            if "--check" not in sys.argv:
                file.write_text(text)
    if stale and "--check" in sys.argv:
        sys.exit(f"not current: {', '.join(stale)}; run `make chart-docs`")


main()
