#!/usr/bin/env python3
"""Creates and deletes a branch of a Neon project's database.

    neon.py create NAME    prints a JSON object with DATABASE_URL and DATABASE_URL_UNPOOLED; an existing branch is kept
    neon.py delete NAME    does nothing if there is no such branch

NEON_API_KEY and NEON_PROJECT_ID are required, and for `create` NEON_PARENT_ID: the new branch has all data of its
parent. NEON_DATABASE is neondb and NEON_ROLE neondb_owner unless set.
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
# If nobody deletes it.
LIFETIME = timedelta(days=14)
LOCKED = 423


def call(method, path, body=None, **query):
    """A request to the project; waits while another operation has locked it."""
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
                sys.exit(f"Neon answers {error.code} to {method} {path}: {error.read().decode(errors='replace')[:500]}")
            time.sleep(float(os.environ.get("NEON_POLL_SECONDS", "3")))


def find(name):
    """The id of a branch, or None. The search also finds names that contain this one."""
    found = call("GET", "/branches", search=name)["branches"]
    return next((branch["id"] for branch in found if branch["name"] == name), None)


def wait(operations):
    for operation in operations:
        while operation["status"] not in ("finished", "skipped"):
            if operation["status"] in ("failed", "error", "cancelled"):
                sys.exit(f"Neon's operation {operation['action']} has {operation['status']}")
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
