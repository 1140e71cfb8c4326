"""Runs Schemathesis against the API with all checks, for each contract, with and without a valid token.

The contracts are tested separately because Schemathesis would otherwise use a task's id from one contract in
the other. The user in the paths is limited to the token's, so that requests pass authentication; other values
are still tried as invalid ones. Exits with status 1 if a check fails, or if fewer than LEAST_CASES cases were
generated.
"""

import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).parent
SEED = os.environ.get("SCHEMATHESIS_SEED", "20261120")
LEAST_CASES = 3500
# Cases per operation in the fuzzing phase. Fewer without a token, because then nearly all of them end with
# 401.
WITH_TOKEN, WITHOUT_TOKEN = 100, 20

description = json.loads((HERE / "../../../../openapi.json").read_text())
user = os.environ["TASK_API_USER"]
token = os.environ["TASK_API_TOKEN"]

# A valid ETag leads to 412 if it doesn't match, and can lead to 304 if it does. A cursor leads to 410 after
# the user was erased.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "304", "401", "403", "404", "409", "410", "412", "5xx"]
"""


def cursor():
    """Returns a valid cursor of the changes feed."""
    request = urllib.request.Request(f"{os.environ['TASK_API_URL']}/plain/api/{user}/tasks/changes")
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as response:
        return json.load(response)["cursor"]


# The pattern in the description also matches days that don't exist.
DUE_DATE = [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]

# These parameters are limited to some valid values, like the user. Schemathesis can change a header with a
# pattern into one that doesn't match it, and still expects it to be accepted.
VALUES = {
    "since": [cursor()],
    "If-Match": ["*", '"1-2-3"', 'W/"a", "b"'],
}


def part(tag):
    """Returns the description of the operations with this tag, limited to the token's user."""
    narrowed = copy.deepcopy(description)
    for path, methods in list(narrowed["paths"].items()):
        for method, operation in list(methods.items()):
            if tag not in operation["tags"]:
                del methods[method]
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "user_id":
                    parameter["schema"] = {"type": "string", "enum": [user]}
                    parameter["example"] = user
                if parameter["name"] in VALUES:
                    parameter["schema"] = {"type": "string", "enum": VALUES[parameter["name"]]}
                if parameter["name"] in ("due_after", "due_before"):
                    parameter["schema"] = {"anyOf": DUE_DATE}
            # A cursor of a list is only valid with the query that it was returned for.
            operation["parameters"] = [
                parameter for parameter in operation.get("parameters", []) if parameter["name"] != "cursor"
            ]
        if not methods:
            del narrowed["paths"][path]
    # A schema can't express exactly which tags are accepted.
    for name, schema in narrowed["components"]["schemas"].items():
        if name.endswith(("NewTask", "TaskChanges", "TaskReplacement")):
            del schema["properties"]["tags"]
            schema["properties"]["due_date"] = {"anyOf": [*DUE_DATE, {"type": "null"}]}
    return narrowed


def run(tag, with_token, cases):
    """Runs Schemathesis. Returns the number of generated cases, and whether all checks passed."""
    with tempfile.TemporaryDirectory() as folder:
        narrowed = pathlib.Path(folder, "openapi.json")
        narrowed.write_text(json.dumps(part(tag)))
        pathlib.Path(folder, "schemathesis.toml").write_text(CONFIGURATION)
        command = [
            pathlib.Path(sys.executable).with_name("st"), "run", narrowed, "--url", os.environ["TASK_API_URL"],
            "--seed", SEED, "--max-examples", str(cases), "--checks", "all", "--continue-on-failure",
        ]
        # A method without a route never reaches a function: API Gateway responds with 404, where the check
        # expects 405. And `PUT …/tasks/changes` is the PUT of a task with the invalid id "changes".
        command += ["--exclude-checks", "unsupported_method"]
        if with_token:
            command += ["--header", f"Authorization: Bearer {token}"]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    made = re.search(r"(\d+) generated", done.stdout)
    if done.returncode != 0 or made is None:
        print(done.stdout)
    made = int(made[1]) if made else 0
    token_ = "with" if with_token else "without"
    print(f"{tag}, {token_} a token: {made} cases, Schemathesis exited with {done.returncode}", flush=True)
    return made, done.returncode == 0


runs = [
    run("envelope", True, WITH_TOKEN),
    run("plain", True, WITH_TOKEN),
    run("service", True, WITHOUT_TOKEN),
    run("envelope", False, WITHOUT_TOKEN),
    run("plain", False, WITHOUT_TOKEN),
    run("service", False, WITHOUT_TOKEN),
]
cases = sum(made for made, _ in runs)
failures = sum(not held for _, held in runs)
print(f"Schemathesis: seed {SEED}, {cases} generated cases, {failures} of {len(runs)} runs with failures")
sys.exit(failures > 0 or cases < LEAST_CASES)
