#!/usr/bin/env python3
"""Writes what is said about values in a second place: from the comments in a chart's values.yaml the
table in README.md and the descriptions in values.schema.json; from the definition of ChatCluster (as
JSON, in the file that is named) what `cluster` may hold, because Helm 3 only warns of a field that does
not exist. `--check` writes nothing and fails if that would change something.

Called by scripts/charts.sh, which has a Helm that makes JSON of the definition. Every value has a comment that begins with `# --`, or stands in a block that has one. What is written is
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


def of_definition(schema):
    """A schema of the API server as one of values. What is required and what defaults are is left to
    the server: values are merged from several places."""
    if schema.get("x-kubernetes-int-or-string"):
        kept = {"type": ["integer", "string"]}
    else:
        words = ("type", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength")
        kept = {word: schema[word] for word in words if word in schema}
    if "description" in schema:
        kept = {"description": " ".join(schema["description"].split()), **kept}
    if "properties" in schema:
        kept["properties"] = {name: of_definition(it) for name, it in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            kept["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = of_definition(schema["additionalProperties"])
    if "items" in schema:
        kept["items"] = of_definition(schema["items"])
    if schema.get("nullable") and "type" in kept:
        kept["type"] = [kept["type"], "null"]
        if "enum" in kept:
            kept["enum"] = [*kept["enum"], None]
    return kept


def cluster_schema(definition):
    """What `cluster` may hold."""
    (version,) = definition["spec"]["versions"]
    schema = of_definition(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    # Null is how values say that somebody else scales.
    schema["properties"]["replicas"]["type"] = ["integer", "null"]
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
    definition = json.loads(Path(sys.argv[1]).read_text())
    stale = []
    for chart in sorted(path.parent for path in CHARTS.glob("*/Chart.yaml")):
        root = parse(chart / "values.yaml")
        nodes = list(described(root))
        schema_file, readme_file = chart / "values.schema.json", chart / "README.md"
        schema = json.loads(schema_file.read_text())
        check_known(schema, root, chart.name)
        if "cluster" in schema["properties"]:
            schema["properties"]["cluster"] = cluster_schema(definition)
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
