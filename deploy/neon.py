#!/usr/bin/env python3
"""Creates and deletes a branch of a Neon project's database.

    neon.py create NAME    creates the branch unless it exists, and prints a JSON object with its
                           DATABASE_URL and DATABASE_URL_UNPOOLED
    neon.py delete NAME    deletes the branch if it exists

Requires NEON_API_KEY and NEON_PROJECT_ID. `create` also requires NEON_PARENT_ID, the branch to copy with all
its data. NEON_DATABASE defaults to neondb, and NEON_ROLE to neondb_owner.
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
    url = f"{API}/projects/{os.environ['NEON_PROJECT_ID']}{path}"
    if query:
        url += "?" + urllib.parse.urlencode(query)
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
            time.sleep(float(os.environ.get("NEON_POLL_SECONDS", "3")))


def find(name):
    """Returns the id of a branch, or None. Neon's search also finds names that contain this one."""
    found = call("GET", "/branches", search=name)["branches"]
    return next((branch["id"] for branch in found if branch["name"] == name), None)


def wait(operations):
    for operation in operations:
        while operation["status"] not in ("finished", "skipped"):
            if operation["status"] in ("failed", "error", "cancelled"):
                sys.exit(f"Neon's operation {operation['action']} ended with status {operation['status']}")
            time.sleep(float(os.environ.get("NEON_POLL_SECONDS", "3")))
            operation = call("GET", f"/operations/{operation['id']}")["operation"]


def create(name):
    branch = find(name)
    if not branch:
        expires = (datetime.now(timezone.utc) + LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = call("POST", "/branches", {
            "branch": {"name": name, "parent_id": os.environ["NEON_PARENT_ID"], "expires_at": expires},
            "endpoints": [{"type": "read_write"}]})
        wait(made["operations"])
        branch = made["branch"]["id"]

    def uri(pooled):
        return call("GET", "/connection_uri", branch_id=branch, pooled=pooled,
                    database_name=os.environ.get("NEON_DATABASE", "neondb"),
                    role_name=os.environ.get("NEON_ROLE", "neondb_owner"))["uri"]

    print(json.dumps({"DATABASE_URL": uri("true"), "DATABASE_URL_UNPOOLED": uri("false")}))


def delete(name):
    branch = find(name)
    if branch:
        wait(call("DELETE", f"/branches/{branch}")["operations"])


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("create", "delete"):
        sys.exit(__doc__)
    {"create": create, "delete": delete}[sys.argv[1]](sys.argv[2])
