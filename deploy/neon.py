"""Branches of a Neon project's database.

Needs NEON_API_KEY and NEON_PROJECT_ID and, for a new branch, NEON_PARENT_ID, the branch to copy with all its
data. NEON_DATABASE defaults to neondb, and NEON_ROLE to neondb_owner.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone

API = os.environ.get("NEON_API_URL", "https://console.neon.tech/api/v2")
# Neon itself deletes a branch after this time.
LIFETIME = timedelta(days=14)
# The status with which Neon rejects a request while another operation runs.
LOCKED = 423


def call(method, path, body=None, **query):
    """Sends a request to the project. Retries while another operation locks it."""
    url = f"{API}/projects/{os.environ['NEON_PROJECT_ID']}{path}?{urllib.parse.urlencode(query)}"
    headers = {"Authorization": f"Bearer {os.environ['NEON_API_KEY']}", "Accept": "application/json",
               "Content-Type": "application/json"}
    request = urllib.request.Request(url, body and json.dumps(body).encode(), headers, method=method)
    for attempt in range(10):
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.loads(response.read() or "{}")
        except urllib.error.HTTPError as error:
            if error.code != LOCKED or attempt == 9:
                sys.exit(f"Neon answered {error.code} to {method} {path}: {error.read().decode(errors='replace')[:500]}")
            wait()


def wait():
    time.sleep(float(os.environ.get("NEON_POLL_SECONDS", "3")))


def finish(operations):
    for operation in operations:
        while operation["status"] not in ("finished", "skipped"):
            if operation["status"] in ("failed", "error", "cancelled"):
                sys.exit(f"Neon's operation {operation['action']} ended with status {operation['status']}")
            wait()
            operation = call("GET", f"/operations/{operation['id']}")["operation"]


def branches(search):
    """Returns {name: id} of the branches whose names contain `search`."""
    return {branch["name"]: branch["id"] for branch in call("GET", "/branches", search=search, limit=10000)["branches"]}


def create(name):
    """Creates a branch and returns its id."""
    expires = (datetime.now(timezone.utc) + LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = call("POST", "/branches", {
        "branch": {"name": name, "parent_id": os.environ["NEON_PARENT_ID"], "expires_at": expires},
        "endpoints": [{"type": "read_write"}]})
    finish(made["operations"])
    return made["branch"]["id"]


def delete(branch):
    finish(call("DELETE", f"/branches/{branch}")["operations"])


def uri(branch, pooled):
    """Returns the URL of the branch's database for its owner, through the pooler or not."""
    return call("GET", "/connection_uri", branch_id=branch, pooled=str(pooled).lower(),
                database_name=os.environ.get("NEON_DATABASE", "neondb"),
                role_name=os.environ.get("NEON_ROLE", "neondb_owner"))["uri"]
