#!/usr/bin/env python3
"""Gives a pull request its own stack, branch of the Neon database and secrets.

    preview.py up NAME [PARAMETER=VALUE...]    deploys what deploy/build.py has built, and prints the base URL
    preview.py down NAME                       deletes everything
    preview.py sweep                           does so for each pull request that is not open

NAME is task-api-pr-NUMBER, the name of the stack, the branch and the endpoints' secret. Needs the variables of
deploy/neon.py, what deploy/stack.py needs, psql for `up`, and GitHub's CLI for `sweep`.
"""

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
from urllib.parse import unquote, urlsplit

import neon
import stack

# Creates the role that endpoints log in as, or sets its password if the parent branch has it already.
LOGIN = r"""\set password {password}
select format('%s role task_api_endpoints login noinherit password %L',
    case when exists (select from pg_roles where rolname = 'task_api_endpoints') then 'alter' else 'create' end,
    :'password') \gexec
"""


def derived(name, purpose):
    """Returns a secret that stays the same in the life of a preview, so that tokens and connections do."""
    return hmac.new(os.environ["NEON_API_KEY"].encode(), f"{name} {purpose}".encode(), hashlib.sha256).hexdigest()


def create_login(owner_url, password):
    # In the environment and in standard input, because every process can read a command line.
    url = urlsplit(owner_url)
    environment = os.environ | {
        "PGHOST": url.hostname, "PGPORT": str(url.port or 5432), "PGUSER": unquote(url.username),
        "PGPASSWORD": unquote(url.password), "PGDATABASE": url.path[1:],
        "PGSSLMODE": "require" if "sslmode=require" in url.query else "prefer"}
    subprocess.run(["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"], env=environment, check=True, text=True,
                   input=LOGIN.format(password=password))


def put_secret(name, content):
    """Creates or replaces a secret, and returns its ARN."""
    for command in (["put-secret-value", "--secret-id"], ["create-secret", "--name"]):
        done = subprocess.run(
            ["aws", "secretsmanager", *command, name, "--secret-string", "file:///dev/stdin", "--output", "json"],
            input=json.dumps(content), capture_output=True, text=True)
        if done.returncode == 0:
            return json.loads(done.stdout)["ARN"]
        if "ResourceNotFoundException" not in done.stderr:
            break
    sys.exit(done.stderr)


def up(name, parameters):
    branch = neon.branches(name).get(name)
    if not branch:
        # The branch has expired. The new one needs every migration, which CloudFormation has run already.
        if stack.describe(name):
            stack.delete(name)
        branch = neon.create(name)
    owner, password = neon.uri(branch, pooled=False), derived(name, "password")
    create_login(owner, password)
    pooled = urlsplit(neon.uri(branch, pooled=True))
    endpoints = pooled._replace(netloc=f"task_api_endpoints:{password}@{pooled.hostname}").geturl()
    secret = put_secret(name, {"DATABASE_URL": endpoints, "JWT_SECRET": derived(name, "tokens")})
    owners = put_secret(f"{name}-migrate", {"DATABASE_URL": owner})
    stack.deploy(name, [
        "EnvironmentName=preview", "LogRetentionDays=7", "CanaryDeployments=false", "Monitoring=false",
        f"Architecture={os.environ.get('ARCHITECTURE', 'arm64')}", f"SecretArn={secret}",
        f"MigrationSecretArn={owners}", *parameters])
    outputs = {it["OutputKey"]: it["OutputValue"] for it in stack.describe(name)["Outputs"]}
    print(outputs["EnvelopeBaseUrl"])


def down(name):
    if stack.describe(name):
        stack.delete(name)
    for secret in (name, f"{name}-migrate"):
        # Succeeds also if the secret doesn't exist.
        stack.aws("secretsmanager", "delete-secret", "--secret-id", secret, "--force-delete-without-recovery")
    branch = neon.branches(name).get(name)
    if branch:
        neon.delete(branch)


def sweep():
    stacks = stack.aws("cloudformation", "list-stacks")["StackSummaries"]
    names = {it["StackName"] for it in stacks if it["StackStatus"] != "DELETE_COMPLETE"}
    for name in sorted({*names, *neon.branches("task-api-pr-")}):
        if found := re.fullmatch(r"task-api-pr-(\d+)", name):
            command = ["gh", "pr", "view", found.group(1), "--json", "state", "--jq", ".state"]
            if subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip() != "OPEN":
                print(f"deleting {name}", flush=True)
                down(name)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up", name, *parameters]:
            up(name, parameters)
        case ["down", name]:
            down(name)
        case ["sweep"]:
            sweep()
        case _:
            sys.exit(__doc__)
