"""Schemathesis against the running API: each contract by itself, with a valid token and without, all checks on.

A contract by itself, since Schemathesis would otherwise follow the id of a task from one contract into the other. The
user of the paths is narrowed to the token's, so that requests reach what lies behind the token; any other value is
still tried as an invalid one. Ends with status 1 where a check fails or too few cases were made.
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
LEAST_CASES = 5000
# Cases of an operation in the fuzzing phase; without a token they all end at the same place.
WITH_TOKEN, WITHOUT_TOKEN = 180, 40

description = json.loads((HERE / "../../../openapi.json").read_text())
user = os.environ["TASK_API_USER"]
token = os.environ["TASK_API_TOKEN"]

# A tag of the right form that doesn't match is 412, and one that does match may be 304. A cursor is 410 once the user
# was erased.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "304", "401", "403", "404", "409", "410", "412", "5xx"]
"""


def cursor():
    """A cursor of the changes."""
    request = urllib.request.Request(f"{os.environ['TASK_API_URL']}/plain/api/{user}/tasks/changes")
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as response:
        return json.load(response)["cursor"]


# What these parameters are narrowed to, as the user is. Schemathesis changes a header that has a pattern into one that
# doesn't match it, and takes it for valid all the same.
VALUES = {
    "since": [cursor()],
    "If-Match": ["*", '"1-2-3"', 'W/"a", "b"'],
}


def part(tag):
    """The operations with a tag, for the token's user."""
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
            # A cursor of a list is only valid together with the query that it was returned for.
            operation["parameters"] = [
                parameter for parameter in operation.get("parameters", []) if parameter["name"] != "cursor"
            ]
        if not methods:
            del narrowed["paths"][path]
    return narrowed


def run(tag, with_token, cases):
    """Runs Schemathesis, and gives how many cases it made and whether all checks held."""
    with tempfile.TemporaryDirectory() as folder:
        narrowed = pathlib.Path(folder, "openapi.json")
        narrowed.write_text(json.dumps(part(tag)))
        pathlib.Path(folder, "schemathesis.toml").write_text(CONFIGURATION)
        command = [
            pathlib.Path(sys.executable).with_name("st"), "run", narrowed, "--url", os.environ["TASK_API_URL"],
            "--seed", SEED, "--max-examples", str(cases), "--checks", "all", "--continue-on-failure",
        ]
        # A method without a route never reaches a function: API Gateway answers 404, and `PUT …/tasks/changes` is a PUT
        # of a task with an odd id.
        command += ["--exclude-checks", "unsupported_method"]
        if with_token:
            command += ["--header", f"Authorization: Bearer {token}"]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    made = re.search(r"(\d+) generated", done.stdout)
    if done.returncode != 0 or made is None:
        print(done.stdout)
    made = int(made[1]) if made else 0
    print(f"{tag}, {'with' if with_token else 'without'} a token: {made} cases, status {done.returncode}", flush=True)
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
