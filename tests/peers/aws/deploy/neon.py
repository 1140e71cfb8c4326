"""Tests deploy/neon.py against a simulation of Neon's API (https://neon.com/docs/reference/api)."""

import http.server
import json
import os
import subprocess
import sys
import threading
import unittest
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SCRIPT = Path(__file__).resolve().parents[4] / "deploy/neon.py"
PROJECT = "/api/v2/projects/old-sun-123456"


class Neon(http.server.BaseHTTPRequestHandler):
    @classmethod
    def serve(cls, test):
        """Serves a project with its first branch until the test ends."""
        neon = http.server.ThreadingHTTPServer(("127.0.0.1", 0), cls)
        neon.url = f"http://127.0.0.1:{neon.server_port}/api/v2"
        neon.branches, neon.operations, neon.requests = [{"id": "br-main", "name": "main"}], {}, []
        neon.locked, neon.outcome = 0, "finished"
        threading.Thread(target=neon.serve_forever, daemon=True).start()
        test.addCleanup(neon.server_close)
        test.addCleanup(neon.shutdown)
        return neon

    def handle_request(self):
        neon, url = self.server, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        neon.requests.append(f"{self.command} {url.path.removeprefix(PROJECT)}")
        if self.headers["Authorization"] != "Bearer the-key":
            return self.respond(401, {"code": "", "message": "authentication failed"})
        if neon.locked and self.command != "GET":
            neon.locked -= 1
            return self.respond(423, {"code": "", "message": "project already has running operations"})
        match self.command, url.path.removeprefix(PROJECT).split("/")[1:]:
            case "GET", ["branches"]:
                return self.respond(200, {"branches": [it for it in neon.branches if query["search"] in it["name"]]})
            case "POST", ["branches"]:
                wanted = json.loads(body)
                assert wanted["endpoints"] == [{"type": "read_write"}], "a branch without an endpoint accepts no connections"
                branch = wanted["branch"] | {"id": f"br-{len(neon.requests)}"}
                neon.branches.append(branch)
                return self.respond(201, {"branch": branch, "endpoints": [{"id": "ep-1"}],
                                          "operations": self.begin("create_branch")})
            case "DELETE", ["branches", found]:
                neon.branches = [it for it in neon.branches if it["id"] != found]
                return self.respond(200, {"branch": {"id": found}, "operations": self.begin("delete_timeline")})
            case "GET", ["operations", found]:
                neon.operations[found]["status"] = neon.outcome
                return self.respond(200, {"operation": neon.operations[found]})
            case "GET", ["connection_uri"]:
                # A branch has no endpoint until its operations are finished.
                assert all(it["status"] == "finished" for it in neon.operations.values())
                host = f"ep-{query['branch_id']}{'-pooler' if query['pooled'] == 'true' else ''}.eu.aws.neon.tech"
                uri = f"postgresql://{query['role_name']}:secret@{host}/{query['database_name']}?sslmode=require"
                return self.respond(200, {"uri": uri})
        return self.respond(404, {"code": "", "message": "not found"})

    def begin(self, action):
        operation = {"id": f"op-{len(self.server.operations)}", "action": action, "status": "running"}
        self.server.operations[operation["id"]] = operation
        return [operation]

    def respond(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = handle_request

    def log_message(self, *_):
        pass


class Branches(unittest.TestCase):
    def setUp(self):
        self.neon = Neon.serve(self)

    def run_script(self, *arguments, key="the-key"):
        environment = os.environ | {
            "NEON_API_URL": self.neon.url, "NEON_API_KEY": key,
            "NEON_PROJECT_ID": "old-sun-123456", "NEON_PARENT_ID": "br-main", "NEON_POLL_SECONDS": "0.01"}
        return subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True)

    def test_a_branch_is_created_with_an_endpoint_and_an_expiry(self):
        urls = json.loads(self.run_script("create", "task-api-pr-4").stdout)
        (branch,) = self.neon.branches[1:]
        self.assertEqual((branch["name"], branch["parent_id"]), ("task-api-pr-4", "br-main"))
        self.assertGreater(datetime.fromisoformat(branch["expires_at"]), datetime.now(timezone.utc))
        host = f"neondb_owner:secret@ep-{branch['id']}"
        self.assertEqual(urls, {
            "DATABASE_URL": f"postgresql://{host}-pooler.eu.aws.neon.tech/neondb?sslmode=require",
            "DATABASE_URL_UNPOOLED": f"postgresql://{host}.eu.aws.neon.tech/neondb?sslmode=require"})

    def test_an_existing_branch_is_reused_but_not_one_with_a_longer_name(self):
        self.run_script("create", "task-api-pr-42")
        first = self.run_script("create", "task-api-pr-4").stdout
        self.assertEqual(self.run_script("create", "task-api-pr-4").stdout, first)
        self.assertEqual(len(self.neon.branches), 3)

    def test_only_the_branch_is_deleted_and_a_repeat_does_nothing(self):
        self.run_script("create", "task-api-pr-42")
        self.run_script("create", "task-api-pr-4")
        for _ in range(2):
            self.assertEqual(self.run_script("delete", "task-api-pr-4").returncode, 0)
            self.assertEqual([it["name"] for it in self.neon.branches], ["main", "task-api-pr-42"])

    def test_requests_are_repeated_while_the_project_is_locked(self):
        self.neon.locked = 3
        self.assertEqual(self.run_script("create", "task-api-pr-4").returncode, 0)
        self.assertEqual(self.neon.requests.count("POST /branches"), 4)

    def test_a_failure_is_reported_without_the_key(self):
        told = self.run_script("create", "task-api-pr-4", key="another-key")
        self.assertEqual((told.returncode, told.stdout), (1, ""))
        self.assertIn("Neon answered 401 to GET /branches", told.stderr)
        self.assertNotIn("another-key", told.stderr)
        self.neon.outcome = "failed"
        told = self.run_script("create", "task-api-pr-4")
        self.assertEqual((told.returncode, told.stdout), (1, ""))
        self.assertIn("Neon's operation create_branch ended with status failed", told.stderr)


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(
        unittest.defaultTestLoader.loadTestsFromTestCase(Branches))
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(failed > 0)
