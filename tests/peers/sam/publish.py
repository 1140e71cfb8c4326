"""deploy/functions.sh against moto's server. Usage: publish.py MOTO_SERVER, with the AWS CLI on the PATH."""

import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
import uuid
import zipfile
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "deploy/functions.sh"
PACKAGES = {"get-task": ["get-task"], "list-tasks": ["list-tasks"], "migrate": ["migrate"],
            "health": ["health", "health-ready"]}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Publish(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        port = free_port()
        cls.url = f"http://127.0.0.1:{port}"
        cls.server = subprocess.Popen([sys.argv[1], "-H", "127.0.0.1", "-p", str(port)],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.kill)
        # Invocations are answered without running anything, which would need Docker.
        settings = urllib.request.Request(cls.url + "/moto-api/config", b'{"lambda": {"use_docker": false}}',
                                          {"Content-Type": "application/json"})
        for _ in range(600):
            try:
                urllib.request.urlopen(settings, timeout=10).read()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("moto does not answer")

    def setUp(self):
        # A stack of its own for each test.
        self.stack = f"task-api-{uuid.uuid4().hex[:8]}"
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.bootstraps = Path(folder.name)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": folder.name, "AWS_ENDPOINT_URL": self.url, "AWS_PAGER": "",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1",
            "BOOTSTRAPS": folder.name, "CANARY_SECONDS": "1",
        }
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                 "Principal": {"Service": "lambda.amazonaws.com"}}]}
        role = self.client("iam").create_role(RoleName=self.stack, AssumeRolePolicyDocument=json.dumps(trust))
        for package, names in PACKAGES.items():
            self.build(package, b"the code as the stack was made")
            for name in names:
                self.create(package, f"{self.stack}-{name}", role["Role"]["Arn"])
        for alarm in ("errors", "latency"):
            self.client("cloudwatch").put_metric_alarm(
                AlarmName=f"{self.stack}-{alarm}", Namespace="n", MetricName="m", Statistic="Sum", Period=60,
                EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold")
            self.alarm(alarm, "OK")

    def alarm(self, name, state):
        self.client("cloudwatch").set_alarm_state(AlarmName=f"{self.stack}-{name}", StateValue=state, StateReason="test")

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

    def live(self, name):
        alias = self.client("lambda").get_alias(FunctionName=f"{self.stack}-{name}", Name="live")
        weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        self.assertEqual(weights, {}, "no traffic is left divided")
        return alias["FunctionVersion"]

    def versions(self, name):
        versions = self.client("lambda").list_versions_by_function(FunctionName=f"{self.stack}-{name}")["Versions"]
        return len(versions) - 1

    def test_one_function_is_deployed_and_no_other_and_a_repeat_does_nothing(self):
        self.build("get-task", b"new")
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual((status, told), (0, f"{self.stack}-get-task 1 -> 2\n"))
        self.assertEqual((self.live("get-task"), self.live("list-tasks")), ("2", "1"))
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual((status, told), (0, f"{self.stack}-get-task is in service already\n"))
        self.assertEqual(self.versions("get-task"), 2)

    def test_many_are_deployed_the_migration_first(self):
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

    def test_an_alarm_keeps_the_old_version_in_service(self):
        self.build("get-task", b"bad")
        self.alarm("errors", "ALARM")
        status, told = self.run_script("deploy", self.stack, "get-task")
        self.assertEqual((status, told), (1, f"{self.stack}-get-task stays at 1: {self.stack}-errors\n"))
        self.assertEqual(self.live("get-task"), "1")

    def test_a_roll_back_goes_to_the_version_before_or_the_one_named(self):
        for code in (b"two", b"three"):
            self.build("get-task", code)
            self.assertEqual(self.run_script("deploy", self.stack, "get-task")[0], 0)
        for arguments, version in [((), "2"), ((), "1"), (("3",), "3")]:
            status, told = self.run_script("roll-back", self.stack, "get-task", *arguments)
            self.assertEqual(status, 0, told)
            self.assertEqual(self.live("get-task"), version)
        self.run_script("roll-back", self.stack, "get-task", "1")
        status, told = self.run_script("roll-back", self.stack, "get-task")
        self.assertEqual((status, told), (1, f"{self.stack}-get-task has no version before 1\n"))

    def test_what_makes_no_sense_changes_nothing(self):
        for arguments, code in [((), 2), (("deploy", self.stack), 2), (("deploy", self.stack, "unknown"), 1),
                                (("roll-back", self.stack, "unknown"), 1), (("roll-back", self.stack), 2)]:
            self.assertEqual(self.run_script(*arguments)[0], code, arguments)
        self.assertEqual(self.run_script("roll-back", self.stack, "get-task", "7")[0] > 0, True)
        self.assertEqual(self.live("get-task"), "1")


if __name__ == "__main__":
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromTestCase(Publish))
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(failed > 0)
