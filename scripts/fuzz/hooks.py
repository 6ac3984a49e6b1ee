"""Lets schemathesis meet what exists: random ids alone would find nothing but 404.

Every choice is drawn from what was generated, so that a seed gives the same run."""

import json
import os
import zlib

import schemathesis

CONVERSATIONS = os.environ["FUZZ_CONVERSATIONS"].split(",")
USERS = os.environ["FUZZ_USERS"].split(",")
LOG = 30
NAMES = set()


def draw(value, count):
    return zlib.crc32(repr(value).encode()) % count


def known(value, among):
    """Most of the time one that exists."""
    n = draw(value, 4 * len(among))
    return among[n] if n < len(among) else value if n % 3 == 0 else among[n % len(among)]


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """The examples of the document name what exists here."""
    text = json.dumps(raw_schema)
    for example, real in (("0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e", CONVERSATIONS[0]), ("u_42", USERS[1])):
        text = text.replace(example, real)
    raw_schema.clear()
    raw_schema.update(json.loads(text))
    for path in raw_schema["paths"].values():
        for operation in path.values():
            if not isinstance(operation, dict):
                continue
            for parameter in operation.get("parameters", []):
                if parameter.get("in") == "query":
                    NAMES.add(parameter["name"])


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if not path_parameters:
        return path_parameters
    changed = dict(path_parameters)
    if "id" in changed:
        changed["id"] = known(changed["id"], CONVERSATIONS)
    if "user" in changed:
        changed["user"] = known(changed["user"], USERS)
    if "message" in changed and draw(changed["message"], 4) > 0:
        changed["message"] = draw(changed["message"], LOG)
    return changed


@schemathesis.hook
def map_query(context, query):
    if query and "with" in query:
        return {**query, "with": known(query["with"], USERS)}
    return query


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    changed = dict(body)
    for name in ("user", "to"):
        if isinstance(changed.get(name), str):
            changed[name] = known(changed[name], USERS)
    for name in ("users", "members"):
        if isinstance(changed.get(name), list):
            changed[name] = [known(it, USERS) if isinstance(it, str) else it for it in changed[name]]
    return changed


@schemathesis.hook
def filter_query(context, query):
    """Parameters that no operation has are ignored, and it takes that for the acceptance of bad ones."""
    return not query or NAMES.issuperset(query)
