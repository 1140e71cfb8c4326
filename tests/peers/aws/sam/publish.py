"""Tests deploy/functions.sh against moto. Needs the AWS CLI. Usage: publish.py MOTO_SERVER [TEST...]"""

import collections
import http.client
import http.server
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
import uuid
import zipfile
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[4]
SCRIPT = ROOT / "deploy/functions.sh"
PACKAGES = {"get-task": ["get-task"], "list-tasks": ["list-tasks"], "migrate": ["migrate"],
            "health": ["health", "health-ready"]}
ALARMS = re.findall(r"AlarmName: !Sub \$\{AWS::StackName\}-(\S+)", (ROOT / "template.yaml").read_text())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy(http.server.BaseHTTPRequestHandler):
    """Adds what AWS documents but moto lacks: the history of alarms, and revisions of aliases."""

    moto = None
    history = []  # (alarm, summary, time)
    revisions = collections.Counter()
    invocations = collections.Counter()
    # Called with (method, path) before a request is passed on.
    before = staticmethod(lambda method, path: None)

    def respond(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def respond_json(self, value, status=200, error=None):
        headers = {"Content-Type": "application/json"} | ({"x-amzn-ErrorType": error} if error else {})
        self.respond(status, headers, json.dumps(value).encode())

    def handle_request(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        alias = re.search(r"/functions/([^/]+)/aliases/live$", self.path)
        if self.headers.get("X-Amz-Target", "").endswith("DescribeAlarmHistory"):
            asked = json.loads(body)
            items = [{"AlarmName": name, "HistorySummary": summary, "HistoryItemType": "StateUpdate", "Timestamp": at}
                     for name, summary, at in self.history
                     if name == asked["AlarmName"] and at >= asked["StartDate"]]
            return self.respond_json({"AlarmHistoryItems": items})
        if "/invocations" in self.path:
            self.invocations[self.path.split("/")[3]] += 1
        self.before(self.command, self.path)
        if alias and self.command == "PUT":
            expected = json.loads(body).get("RevisionId")
            if expected not in (None, f"revision-{self.revisions[alias.group(1)]}"):
                message = "The RevisionId provided does not match the latest RevisionId."
                return self.respond_json({"Message": message}, 412, "PreconditionFailedException")
            self.revisions[alias.group(1)] += 1
        connection = http.client.HTTPConnection(self.moto)
        connection.request(self.command, self.path, body, dict(self.headers))
        response = connection.getresponse()
        found = response.read()
        if alias and response.status < 300 and found:
            revision = f"revision-{self.revisions[alias.group(1)]}"
            found = json.dumps(json.loads(found) | {"RevisionId": revision}).encode()
        self.respond(response.status, dict(response.headers), found)

    do_GET = do_POST = do_PUT = do_DELETE = handle_request

    def log_message(self, *_):
        pass


class Publish(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        port = free_port()
        Proxy.moto = f"127.0.0.1:{port}"
        cls.server = subprocess.Popen([sys.argv[1], "-H", "127.0.0.1", "-p", str(port)],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.kill)
        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        cls.url = f"http://127.0.0.1:{proxy.server_port}"
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        # moto responds to invocations without running the function, which would need Docker.
        settings = urllib.request.Request(f"http://{Proxy.moto}/moto-api/config", b'{"lambda": {"use_docker": false}}',
                                          {"Content-Type": "application/json"})
        for _ in range(600):
            try:
                urllib.request.urlopen(settings, timeout=10).read()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("moto does not respond")

    def setUp(self):
        # A stack of its own for each test.
        self.stack = f"task-api-{uuid.uuid4().hex[:8]}"
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.bootstraps = Path(folder.name)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": folder.name, "AWS_ENDPOINT_URL": self.url, "AWS_PAGER": "",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1",
            "BOOTSTRAPS": folder.name, "CANARY_SECONDS": "1", "POLL_SECONDS": "0.2",
        }
        Proxy.before = staticmethod(lambda method, path: None)
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                 "Principal": {"Service": "lambda.amazonaws.com"}}]}
        role = self.client("iam").create_role(RoleName=self.stack, AssumeRolePolicyDocument=json.dumps(trust))
        for package, names in PACKAGES.items():
            self.build(package, b"the code as the stack was made")
            for name in names:
                self.create(package, f"{self.stack}-{name}", role["Role"]["Arn"])
        for alarm in ALARMS:
            self.client("cloudwatch").put_metric_alarm(
                AlarmName=f"{self.stack}-{alarm}", Namespace="n", MetricName="m", Statistic="Sum", Period=60,
                EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold")
            self.alarm(alarm, "OK")

    def alarm(self, name, state):
        name = f"{self.stack}-{name}"
        Proxy.history.append((name, f"Alarm updated from somewhere to {state}", time.time()))
        self.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")

    def client(self, service):
        return boto3.client(service, endpoint_url=self.url, region_name="eu-central-1", aws_access_key_id="test",
                            aws_secret_access_key="test")

    def build(self, package, code):
        (self.bootstraps / package).mkdir(exist_ok=True)
        (self.bootstraps / package / "bootstrap").write_bytes(code)

    def create(self, package, function, role):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as writer:
            writer.write(self.bootstraps / package / "bootstrap", "bootstrap")
        functions = self.client("lambda")
        functions.create_function(FunctionName=function, Runtime="provided.al2023", Handler="bootstrap", Role=role,
                                  Code={"ZipFile": archive.getvalue()}, Publish=True)
        functions.create_alias(FunctionName=function, Name="live", FunctionVersion="1")

    def run_script(self, *arguments):
        told = subprocess.run([SCRIPT, *arguments], env=self.environment, capture_output=True, text=True)
        return told.returncode, told.stdout + told.stderr

    def start_script(self, *arguments):
        # If the suite runs in the background, it ignores SIGINT, and the script would inherit that.
        process = subprocess.Popen([SCRIPT, *arguments], env=self.environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def get_alias(self, name):
        alias = self.client("lambda").get_alias(FunctionName=f"{self.stack}-{name}", Name="live")
        return alias["FunctionVersion"], (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}

    def wait_for_canary(self, *names):
        until = time.time() + 60
        while not all(self.get_alias(name)[1] for name in names):
            self.assertLess(time.time(), until, "no canary has started within 60 s")
            time.sleep(0.1)

    def live(self, name):
        version, weights = self.get_alias(name)
        self.assertEqual(weights, {}, "traffic is not split")
        return version

    def versions(self, name):
        versions = self.client("lambda").list_versions_by_function(FunctionName=f"{self.stack}-{name}")["Versions"]
        return len(versions) - 1

    def test_only_the_named_function_is_deployed_and_a_repeat_does_nothing(self):
        self.build("get-task", b"new")
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual((status, told), (0, f"{self.stack}-get-task 1 -> 2\n"))
        self.assertEqual((self.live("get-task"), self.live("list-tasks")), ("2", "1"))
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual((status, told), (0, f"{self.stack}-get-task is in service already\n"))
        self.assertEqual(self.versions("get-task"), 2)

    def test_a_program_that_was_not_built_stops_the_deployment(self):
        for package in ("list-tasks", "get-task"):
            self.build(package, b"new")
        (self.bootstraps / "get-task/bootstrap").unlink()
        status, told = self.run_script("deploy", self.stack, "list-tasks", "get-task")
        self.assertEqual((status, self.live("list-tasks"), self.live("get-task")), (1, "1", "1"), told)
        self.assertEqual(self.versions("get-task"), 1)

    def test_several_functions_are_deployed_after_the_migration(self):
        for package in PACKAGES:
            self.build(package, b"new")
        status, told = self.run_script("deploy", self.stack, "health", "list-tasks", "migrate")
        self.assertEqual(status, 0, told)
        lines = told.splitlines()
        self.assertEqual(lines[0], f"{self.stack}-migrate 2 has run")
        moved = [f"{self.stack}-{name} 1 -> 2" for name in ("health", "health-ready", "list-tasks")]
        self.assertEqual(sorted(lines[1:]), moved)
        self.assertEqual([self.live(name) for name in ("migrate", "health", "health-ready", "get-task")],
                         ["2", "2", "2", "1"])

    def test_a_changed_configuration_is_published_without_new_code(self):
        self.build("get-task", b"new")
        self.run_script("deploy", self.stack, "get-task")
        function = f"{self.stack}-get-task"
        self.client("lambda").update_function_configuration(FunctionName=function, MemorySize=256)
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual((status, told), (0, f"{function} 2 -> 3\n"))
        serving = self.client("lambda").get_function_configuration(FunctionName=function, Qualifier="live")
        self.assertEqual(serving["MemorySize"], 256)

    def test_code_that_was_rejected_is_replaced_in_latest_by_what_was_built(self):
        # CloudFormation has deployed the first code, a canary has rejected the second, and main is back at
        # the first.
        self.build("get-task", b"first")
        self.run_script("deploy", self.stack, "get-task")
        self.build("get-task", b"second")
        self.alarm("errors", "ALARM")
        self.assertEqual(self.run_script("deploy", self.stack, "get-task")[0], 1)
        self.alarm("errors", "OK")
        self.client("lambda").update_function_configuration(FunctionName=f"{self.stack}-get-task", MemorySize=256)
        self.build("get-task", b"first")
        self.environment["CANARY_SECONDS"] = "0"
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual((status, told), (0, f"{self.stack}-get-task 2 -> 4\n"))
        hashes = [self.client("lambda").get_function_configuration(
            FunctionName=f"{self.stack}-get-task", Qualifier=version)["CodeSha256"] for version in ("2", "live")]
        self.assertEqual(*hashes)

    def test_an_alarm_that_is_on_starts_no_canary(self):
        self.build("get-task", b"bad")
        self.alarm("errors", "ALARM")
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual(status, 1)
        self.assertIn(f"no canary while an alarm is on: {self.stack}-errors\n", told)
        self.assertEqual(self.live("get-task"), "1")

    def test_an_alarm_ends_the_canary_at_once(self):
        self.environment["CANARY_SECONDS"] = "120"
        self.build("get-task", b"bad")
        process = self.start_script("deploy", self.stack, "get-task")
        self.wait_for_canary("get-task")
        self.alarm("errors", "ALARM")
        told, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 1, told)
        self.assertIn(f"alarm went off: {self.stack}-errors\n", told)
        self.assertEqual(self.live("get-task"), "1")

    def test_an_alarm_that_recovers_during_the_canary_counts(self):
        self.environment |= {"CANARY_SECONDS": "6", "POLL_SECONDS": "5"}
        self.build("get-task", b"bad")
        process = self.start_script("deploy", self.stack, "get-task")
        self.wait_for_canary("get-task")
        self.alarm("latency", "ALARM")
        self.alarm("latency", "OK")
        told, _ = process.communicate(timeout=60)
        self.assertEqual((process.returncode, self.live("get-task")), (1, "1"), told)
        self.assertIn(f"alarm went off: {self.stack}-latency\n", told)

    def test_an_alarm_that_does_not_exist_starts_no_canary(self):
        self.client("cloudwatch").delete_alarms(AlarmNames=[f"{self.stack}-errors"])
        self.build("get-task", b"new")
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual((status, self.live("get-task")), (1, "1"), told)

    def test_an_interrupted_canary_is_rolled_back(self):
        self.environment["CANARY_SECONDS"] = "120"
        for package in ("get-task", "health"):
            self.build(package, b"new")
        for interrupt in (signal.SIGINT, signal.SIGTERM):
            process = self.start_script("deploy", self.stack, "get-task", "health")
            self.wait_for_canary("get-task", "health", "health-ready")
            process.send_signal(interrupt)
            told, _ = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 128 + interrupt, told)
            self.assertEqual([self.live(name) for name in ("get-task", "health", "health-ready")], ["1"] * 3, told)

    def test_a_failure_in_the_middle_rolls_back_all_functions(self):
        # The third update of an alias fails.
        shifts = []

        def fail(method, path):
            if method == "PUT" and path.endswith("/aliases/live"):
                shifts.append(path)
                if len(shifts) == 3:
                    raise ConnectionError

        for package in ("get-task", "health"):
            self.build(package, b"new")
        Proxy.before = staticmethod(fail)
        self.environment["AWS_MAX_ATTEMPTS"] = "1"
        status, told = self.run_script("deploy", self.stack, "get-task", "health")
        self.assertGreater(status, 0)
        self.assertEqual([self.live(name) for name in ("get-task", "health", "health-ready")], ["1"] * 3, told)

    def test_the_next_deployment_ends_the_split_that_a_killed_canary_has_left(self):
        first = (self.bootstraps / "get-task/bootstrap").read_bytes()
        self.environment["CANARY_SECONDS"] = "0"
        self.run_script("deploy", self.stack, "get-task")
        self.environment["CANARY_SECONDS"] = "120"
        self.build("get-task", b"new")
        process = self.start_script("deploy", self.stack, "get-task")
        self.wait_for_canary("get-task")
        process.kill()
        process.communicate()
        self.build("get-task", first)
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual((status, told), (0, f"{self.stack}-get-task is in service already\n"))
        self.assertEqual(self.live("get-task"), "2")

    def test_a_roll_back_goes_to_the_previously_promoted_version_or_the_named_one(self):
        for code in (b"two", b"three"):
            self.build("get-task", code)
            self.assertEqual(self.run_script("deploy", self.stack, "get-task")[0], 0)
        for arguments, version in [((), "2"), ((), "1"), (("3",), "3")]:
            status, told = self.run_script("roll-back", self.stack, "get-task", *arguments)
            self.assertEqual(status, 0, told)
            self.assertEqual(self.live("get-task"), version)
        self.run_script("roll-back", self.stack, "get-task", "1")
        status, told = self.run_script("roll-back", self.stack, "get-task")
        self.assertEqual((status, told), (1, f"{self.stack}-get-task has no version that was promoted before 1\n"))

    def test_a_roll_back_skips_versions_that_a_canary_rejected(self):
        self.build("get-task", b"good")
        self.assertEqual(self.run_script("deploy", self.stack, "get-task")[0], 0)
        self.build("get-task", b"bad")
        self.alarm("errors", "ALARM")
        self.assertEqual(self.run_script("deploy", self.stack, "get-task")[0], 1)
        self.alarm("errors", "OK")
        self.build("get-task", b"better")
        # The history has seconds as its unit: the next canary must begin in another second.
        time.sleep(1.1)
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual((status, self.live("get-task")), (0, "4"), told)
        status, told = self.run_script("roll-back", self.stack, "get-task")
        self.assertEqual((status, self.live("get-task")), (0, "2"), told)

    def test_a_roll_back_ends_a_canary_and_the_deployment_does_not_undo_it(self):
        self.environment["CANARY_SECONDS"] = "5"
        self.build("get-task", b"new")
        process = self.start_script("deploy", self.stack, "get-task")
        self.wait_for_canary("get-task")
        status, told = self.run_script("roll-back", self.stack, "get-task")
        self.assertEqual((status, told), (0, f"{self.stack}-get-task 1 -> 1\n"))
        told, _ = process.communicate(timeout=60)
        self.assertGreater(process.returncode, 0, told)
        self.assertEqual(self.live("get-task"), "1")

    def test_a_migration_that_takes_more_than_a_minute_is_invoked_once(self):
        def slow(_, path):
            if path.endswith("/invocations?Qualifier=2"):
                time.sleep(63)

        Proxy.before = staticmethod(slow)
        self.build("migrate", b"new")
        status, told = self.run_script("deploy", self.stack, "migrate")
        self.assertEqual(Proxy.invocations[f"{self.stack}-migrate"], 1)
        self.assertEqual((status, told), (0, f"{self.stack}-migrate 2 has run\n"))

    def test_sam_uploads_the_archives_unchanged(self):
        """Otherwise, CloudFormation's deployment would not have the hash that the script compares."""
        self.client("s3").create_bucket(
            Bucket=self.stack, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        folder = self.bootstraps / "packed"
        folder.mkdir()
        packed = folder / "get-task.zip"
        subprocess.run([ROOT / "deploy/zip.py", self.bootstraps / "get-task/bootstrap", packed], check=True)
        (folder / "template.yaml").write_text(
            "Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n"
            "    Type: AWS::Serverless::Function\n    Properties:\n"
            "      Runtime: provided.al2023\n      Handler: bootstrap\n      CodeUri: get-task.zip\n")
        subprocess.run(["sam", "package", "--template-file", folder / "template.yaml", "--s3-bucket", self.stack,
                        "--output-template-file", folder / "packaged.yaml", "--region", "eu-central-1"],
                       env=self.environment | {"SAM_CLI_TELEMETRY": "0"}, check=True, capture_output=True)
        (uploaded,) = self.client("s3").list_objects_v2(Bucket=self.stack)["Contents"]
        body = self.client("s3").get_object(Bucket=self.stack, Key=uploaded["Key"])["Body"].read()
        self.assertEqual(body, packed.read_bytes())

    def test_invalid_arguments_change_nothing(self):
        for arguments, code in [((), 2), (("deploy", self.stack), 2), (("deploy", self.stack, "unknown"), 1),
                                (("roll-back", self.stack, "unknown"), 1), (("roll-back", self.stack), 2)]:
            self.assertEqual(self.run_script(*arguments)[0], code, arguments)
        self.assertEqual(self.run_script("roll-back", self.stack, "get-task", "7")[0] > 0, True)
        self.assertEqual(self.live("get-task"), "1")


if __name__ == "__main__":
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    names = sys.argv[2:]
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite(map(Publish, names)) if names else loader.loadTestsFromTestCase(Publish)
    result = runner.run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(failed > 0)
