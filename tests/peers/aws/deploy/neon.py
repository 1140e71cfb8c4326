"""Simulates Neon's API: https://neon.com/docs/reference/api."""

import http.server
import json
import threading
from urllib.parse import parse_qs, urlsplit

PROJECT = "/api/v2/projects/old-sun-123456"


class Neon(http.server.BaseHTTPRequestHandler):
    @classmethod
    def serve(cls, test):
        """Serves a project with its first branch until the test ends."""
        neon = http.server.ThreadingHTTPServer(("127.0.0.1", 0), cls)
        neon.url = f"http://127.0.0.1:{neon.server_port}/api/v2"
        neon.branches, neon.operations, neon.requests = [{"id": "br-main", "name": "main"}], {}, []
        neon.locked, neon.outcome, neon.key = 0, "finished", "the-key"
        threading.Thread(target=neon.serve_forever, daemon=True).start()
        test.addCleanup(neon.server_close)
        test.addCleanup(neon.shutdown)
        return neon

    def handle_request(self):
        neon, url = self.server, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        neon.requests.append(f"{self.command} {url.path.removeprefix(PROJECT)}")
        if self.headers["Authorization"] != f"Bearer {neon.key}":
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
