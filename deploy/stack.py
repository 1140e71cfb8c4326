#!/usr/bin/env python3
"""Deploys a stack with the functions that deploy/build.py has built, and rolls functions back.

    stack.py deploy STACK [PARAMETER=VALUE...]
    stack.py roll-back STACK [FUNCTION [VERSION]]

`deploy` passes the parameters to template.yaml. One that is not given keeps its value, or gets its default if
the stack is new. CloudFormation assumes the role ROLE_ARN, if set.

`roll-back` puts an earlier version of a function, such as get-task, into service at once: VERSION, or the one
before the current one. Without FUNCTION, it does so for every function that the last deployment changed. If
a deployment is in progress, it cancels that instead.

Needs the AWS CLI with a region and, for `deploy`, SAM's.
"""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# How many versions of a function are kept for a roll-back, besides the one that was deployed last.
KEPT = 5


def aws(*command):
    """Returns the response of a call."""
    done = subprocess.run(["aws", *command, "--output", "json"], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout or "null")


def describe(stack):
    """Returns CloudFormation's description of the stack, or None if it doesn't exist."""
    command = ["aws", "cloudformation", "describe-stacks", "--stack-name", stack, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "does not exist" not in done.stderr:
        sys.exit(done.stderr)
    return None if done.returncode else json.loads(done.stdout)["Stacks"][0]


def delete(stack):
    region = os.environ.get("AWS_REGION") or os.environ["AWS_DEFAULT_REGION"]
    subprocess.run(["sam", "delete", "--stack-name", stack, "--region", region, "--no-prompts"], check=True)


def deployed_versions(stack):
    """Returns {function: the version that CloudFormation deployed last}."""
    resources = aws("cloudformation", "list-stack-resources", "--stack-name", stack)["StackResourceSummaries"]
    arns = [it["PhysicalResourceId"] for it in resources if it["ResourceType"] == "AWS::Lambda::Version"]
    return {arn.split(":")[-2]: int(arn.split(":")[-1]) for arn in arns}


def versions(function):
    """Returns {version: its configuration}."""
    found = aws("lambda", "list-versions-by-function", "--function-name", function)["Versions"]
    return {int(it["Version"]): it for it in found if it["Version"] != "$LATEST"}


def in_service(function):
    return int(aws("lambda", "get-alias", "--function-name", function, "--name", "live")["FunctionVersion"])


def put_into_service(function, version):
    aws("lambda", "update-alias", "--function-name", function, "--name", "live", "--function-version", str(version),
        "--routing-config", "AdditionalVersionWeights={}")
    print(f"{function}: version {version} is in service")


def prune(function, deployed, serving):
    """Deletes old versions, and versions that CloudFormation made for a deployment that failed."""
    numbers = sorted(versions(function), reverse=True)
    failed = [number for number in numbers if number > deployed]
    old = [number for number in numbers if number < deployed][KEPT:]
    for number in {*failed, *old} - {serving}:
        aws("lambda", "delete-function", "--function-name", function, "--qualifier", str(number))


def deploy(stack, given):
    parameters = {"CanaryDeployments": "true"} | dict(pair.split("=", 1) for pair in given)
    found = describe(stack)
    if found and found["StackStatus"].endswith("IN_PROGRESS"):
        sys.exit(f"{stack} is in the state {found['StackStatus']}")
    # The first deployment failed. CloudFormation can only delete such a stack.
    if found and found["StackStatus"] == "ROLLBACK_COMPLETE":
        delete(stack)
        found = None
    rolled_back = {}
    for function, deployed in (deployed_versions(stack) if found else {}).items():
        serving = in_service(function)
        prune(function, deployed, serving)
        if serving != deployed:
            rolled_back[function] = serving
    if rolled_back:
        # CodeDeploy rejects an alias that doesn't point to the version that CloudFormation deployed last.
        print(f"no canary, because these were rolled back: {' '.join(rolled_back)}", flush=True)
        parameters["CanaryDeployments"] = "false"

    # SAM takes the code from folders next to the template, and names it after its content.
    built = ROOT / "target/lambda"
    built.mkdir(parents=True, exist_ok=True)
    for program in built.glob("*/bootstrap"):
        program.chmod(0o755)  # GitHub's artifacts lose it.
    template = (ROOT / "template.yaml").read_text().replace("CodeUri: functions/", "CodeUri: ")
    (built / "template.yaml").write_text(template)
    role = ["--role-arn", os.environ["ROLE_ARN"]] if os.environ.get("ROLE_ARN") else []
    # A prefix that others can't write to, and a new upload in any case: SAM would deploy whatever it finds in
    # the bucket under the name of the code. Without --language-extensions, it can't read Fn::ForEach.
    status = subprocess.run([
        "sam", "deploy", "--language-extensions", "--template-file", built / "template.yaml", "--stack-name", stack, *role, "--resolve-s3",
        "--s3-prefix", stack, "--force-upload", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset",
        "--no-fail-on-empty-changeset", "--parameter-overrides", *(f"{k}={v}" for k, v in parameters.items())]).returncode
    if status:
        # CloudFormation has put into service what it deployed before.
        for function, version in rolled_back.items():
            put_into_service(function, version)
        sys.exit(status)


def roll_back(stack, name=None, version=None):
    found = describe(stack) or sys.exit(f"{stack} does not exist")
    if found["StackStatus"] == "UPDATE_IN_PROGRESS":
        aws("cloudformation", "cancel-update-stack", "--stack-name", stack)
        return print("The deployment is canceled: every function goes back to the version before it.")
    moved = False
    for function in deployed_versions(stack):
        if name and function != f"{stack}-{name}":
            continue
        known, serving = versions(function), in_service(function)
        published = datetime.fromisoformat(known[serving]["LastModified"])
        if not name and published < datetime.fromisoformat(found.get("LastUpdatedTime", found["CreationTime"])):
            continue
        target = int(version) if version else max((number for number in known if number < serving), default=None)
        if target is None:
            sys.exit(f"{function} has no version before {serving}")
        put_into_service(function, target)
        moved = True
    if not moved:
        sys.exit(f"{stack} has no function {name}" if name else "The last deployment has changed no function.")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["deploy", stack, *parameters]:
            deploy(stack, parameters)
        case ["roll-back", stack, *rest] if len(rest) <= 2:
            roll_back(stack, *rest)
        case _:
            sys.exit(__doc__)
