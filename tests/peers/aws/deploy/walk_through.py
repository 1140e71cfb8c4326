"""Runs the deployment scripts and workflows against a simulation of AWS, from a stack's first deployment to
its deletion, and those of a preview.

cloud.py, with SAM's translator and CloudFormation's registry, and the stubs in bin/ simulate AWS. The life of
a stack is one test, because each step starts from the state that the step before has left.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import yaml

from cloud import Cloud, settings_of
from neon import Neon
from workflow import Failed, Workflow

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
sys.path.insert(0, str(HERE.parent / "sam"))

from cloudformation import PARAMETERS, Stack, yaml_parse  # noqa: E402

STACK = "task-api-prod"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")}


class Workflows(unittest.TestCase):
    def test_jobs_that_build_have_no_credentials(self):
        for name, workflow in WORKFLOWS.items():
            for key, job in workflow["jobs"].items():
                script = json.dumps(job)
                if "build.py" in script or "cargo " in script or ".ci/run" in script:
                    self.assertNotIn("id-token", job.get("permissions", {}), f"{name}: {key}")
                    self.assertNotIn("environment", job, f"{name}: {key}")
                    self.assertNotIn("secrets.", script, f"{name}: {key}")

    def test_python_packages_are_pinned_by_hash(self):
        lines = (ROOT / "deploy/requirements.txt").read_text().replace("\\\n", "").splitlines()
        for line in (line for line in lines if not line.startswith("#")):
            self.assertRegex(line, r"^[^=]+==\S+ .*--hash=sha256:[0-9a-f]{64}")
        self.assertIn("--require-hashes", (ROOT / ".github/actions/tools/action.yml").read_text())

    def test_checks_run_once_for_a_push(self):
        # PyYAML reads the key `on` as true.
        self.assertEqual(set(WORKFLOWS["checks"][True]), {"pull_request", "workflow_call"})
        callers = [name for name, it in WORKFLOWS.items() if "checks.yml" in json.dumps(it["jobs"])]
        self.assertEqual((callers, WORKFLOWS["deploy"][True]["push"]), (["deploy"], {"branches": ["main"]}))

    def test_a_roll_back_does_not_wait_and_an_approval_blocks_no_checks(self):
        self.assertNotIn("concurrency", WORKFLOWS["deploy"])
        groups = [it["concurrency"]["group"] for it in (WORKFLOWS["deploy"]["jobs"]["deploy"], WORKFLOWS["roll-back"])]
        self.assertEqual(len(set(groups)), 2)
        self.assertFalse(any("needs" in job for job in WORKFLOWS["roll-back"]["jobs"].values()))

    def test_code_that_nobody_has_reviewed_runs_only_for_branches_and_never_sweeps(self):
        self.assertEqual(set(WORKFLOWS["preview"][True]), {"pull_request"}, "has no secrets for forks")
        self.assertIn("head.repo.full_name == github.repository", WORKFLOWS["preview"]["jobs"]["build"]["if"])
        self.assertEqual(set(WORKFLOWS["sweep"][True]), {"schedule", "workflow_dispatch"})


class Repository(unittest.TestCase):
    """A copy of the repository and an empty AWS account."""

    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.repository = self.folder / "repository"
        self.repository.mkdir()
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for file in filter(None, files.split("\0")):
            if (ROOT / file).is_file():
                (self.repository / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, self.repository / file)
        self.runs, self.statements = self.folder / "runs.json", self.folder / "statements"
        self.runs.write_text("[]")
        self.cloud = Cloud(self.folder / "cloud.json")
        self.environment = {
            "PATH": f"{HERE / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.folder),
            "CARGO": shutil.which("cargo"), "CARGO_HOME": os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")),
            "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")), "CLOUD": str(self.cloud.path),
            "RUNS": str(self.runs), "STATEMENTS": str(self.statements), "AWS_DEFAULT_REGION": "eu-central-1",
        }
        self.variables = {"AWS_DEPLOY_ROLE_ARN": "arn:of-the-role", "AWS_REGION": "eu-central-1"}
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit()

    def git(self, *arguments):
        command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments]
        return subprocess.run(command, cwd=self.repository, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")

    def change(self, path, text="// changed\n"):
        with (self.repository / path).open("a") as file:
            file.write(text)

    def run_script(self, *command, folder=None):
        done = subprocess.run(command, cwd=folder or self.repository, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise Failed(command, done.stdout)
        return done.stdout

    def checkout(self, target):
        subprocess.run(["git", "clone", "--quiet", self.repository, target], check=True)
        return target

    def deploy(self, stack=STACK, **parameters):
        """Deploys the working tree by hand."""
        self.run_script("deploy/build.py")
        return self.run_script("deploy/stack.py", "deploy", stack, *(f"{k}={v}" for k, v in parameters.items()))

    def run_workflow(self, name, environment, jobs, event_name="push", event=None, **inputs):
        """Runs jobs of a workflow, and returns the output of each."""
        def assume(used, role):
            self.assertEqual((used, role), (environment, "arn:of-the-role"))

        github = {"event_name": event_name, "event": event, "repository": "octocat/tasks", "sha": "0123"}
        path = self.repository / f".github/workflows/{name}.yml"
        workflow = Workflow(path, self.checkout, assume, self.environment, self.variables, github, inputs)
        temporary = Path(tempfile.mkdtemp(dir=self.folder))
        return [workflow.run(job, temporary) for job in jobs]

    def push(self, event="push", name="deploy", environment="production"):
        """Commits and runs deploy.yml. Returns its output, or fails as it does."""
        self.commit()
        runs = json.loads(self.runs.read_text())
        runs.insert(0, {"headSha": self.git("rev-parse", "HEAD"), "conclusion": ""})
        self.runs.write_text(json.dumps(runs))
        try:
            output = "".join(filter(None, self.run_workflow(name, environment, ["build", "deploy"], event)))
            runs[0]["conclusion"] = "success"
            return output
        except Failed:
            runs[0]["conclusion"] = "failure"
            raise
        finally:
            self.runs.write_text(json.dumps(runs))

    def fails(self):
        """Pushes a change that must not be deployed, and returns the output."""
        with self.assertRaises(Failed) as raised:
            self.push()
        self.assertEqual(raised.exception.args[0], "Stack", raised.exception.args[1])
        return raised.exception.args[1]

    def live(self, stack=STACK):
        """Returns {function: version in service}."""
        with self.cloud.state() as cloud:
            return {name.removeprefix(f"{stack}-"): int(it["live"]) for name, it in cloud.functions.items()
                    if name.startswith(f"{stack}-")}

    def moved(self, before, stack=STACK):
        return {name for name, version in self.live(stack).items() if version != before[name]}

    def calls(self):
        """Returns the calls since the last time."""
        with self.cloud.state() as cloud:
            found, cloud.calls = cloud.calls, []
            return found

    def assert_serves_what_was_requested(self, but=()):
        with self.cloud.state() as cloud:
            for resource in cloud.stacks[STACK]["resources"].values():
                if resource["Type"] == "AWS::Lambda::Function":
                    name, wanted = resource["Properties"]["FunctionName"], settings_of(resource["Properties"])
                    serving = {key: value for key, value in cloud.serving(name).items() if key in wanted}
                    self.assertEqual(serving == wanted, name not in but, name)

    def assert_serves_main(self):
        """Checks that every function serves the code of main, with the configuration that was requested."""
        self.assert_serves_what_was_requested()
        with tempfile.TemporaryDirectory() as folder:
            checkout = self.checkout(Path(folder) / "main")
            self.run_script("deploy/build.py", folder=checkout)
            built = {path.read_text() for path in checkout.glob("target/lambda/*/bootstrap")}
        with self.cloud.state() as cloud:
            self.assertEqual({cloud.bucket[cloud.serving(name)["Code"]] for name in cloud.functions}, built)


class WalkThrough(Repository):
    def test_the_life_of_a_stack(self):
        self.first_deployment()
        for step in (self.parameters, self.one_function, self.shared, self.migration, self.failing_migration,
                     self.failing_canary, self.roll_back, self.deployment_after_a_roll_back, self.pruning, self.deletion):
            started = time.time()
            with self.subTest(step.__name__):
                step()
            print(f"    {step.__name__}: {time.time() - started:.0f} s", flush=True)

    def first_deployment(self):
        # The first attempt in a new account fails and leaves a stack that can only be deleted.
        with self.assertRaises(Failed) as raised:
            self.deploy(ReserveConcurrency="true", **PARAMETERS)
        self.assertIn("UnreservedConcurrentExecution", raised.exception.args[1])
        self.deploy(ReserveConcurrency="false", **PARAMETERS)
        self.assertEqual(set(self.live().values()), {1})
        self.assertIn(f"invoke {STACK}-migrate", self.calls())
        # Whatever somebody put where SAM would upload the code is not what is deployed.
        with self.cloud.state() as cloud:
            cloud.limit, cloud.bucket = 1000, dict.fromkeys(cloud.bucket, "of a stranger")
        # The workflow's first run finds everything deployed.
        output = self.push()
        self.assertEqual((set(self.live().values()), self.calls()), ({1}, [f"sam deploy {STACK}"]), output)
        self.assert_serves_main()
        # Documents are not deployed.
        self.change("README.md")
        self.assertIn("deploy=false", self.push())
        self.assertEqual(self.calls(), [])

    def parameters(self):
        from check import OTHERS

        text = (self.repository / "template.yaml").read_text()
        template = yaml_parse(text)
        # Each of these needs another one.
        together = {"DomainName": ["CertificateArn"], "Monitoring": ["CanaryDeployments"]}
        for name, parameter in template["Parameters"].items():
            changed = {}
            for it in [name, *together.get(name, [])]:
                with self.cloud.state() as cloud:
                    current = cloud.stacks[STACK]["parameters"][it]
                allowed = map(str, template["Parameters"][it].get("AllowedValues", []))
                is_number = parameter["Type"] == "Number"
                changed[it] = next((value for value in allowed if value != current), None) or (
                    str(int(current) + 1) if is_number else OTHERS[it])
                if parameter.get("AllowedValues") == ["true", "false"]:
                    changed[it] = "false" if it in together.get(name, []) else changed[it]
            with self.subTest(name):
                with self.cloud.state() as cloud:
                    cloud.deploy(STACK, text, changed, cloud.stacks[STACK]["codes"])
                self.assert_serves_what_was_requested()
        # CI sets this parameter. Others keep their values.
        self.variables["PARAMETERS"] = "LogLevel=error CanaryDeployments=true Monitoring=true"
        self.push("workflow_dispatch")
        self.assert_serves_main()
        with self.cloud.state() as cloud:
            variables = cloud.serving(f"{STACK}-get-task")["Environment"]["Variables"]
        self.assertEqual((variables["LOG_LEVEL"], variables["ENVIRONMENT"]), ("error", "other"))

    def one_function(self):
        self.calls()
        before = self.live()
        self.change("functions/get-task/src/main.rs")
        self.assertIn("built: get-task\n", self.push())
        self.assertEqual(self.moved(before), {"get-task"})
        versions = f"{before['get-task']} -> {self.live()['get-task']}"
        self.assertEqual(self.calls(), [f"sam deploy {STACK}", f"canary {STACK}-get-task {versions}"])
        self.assert_serves_main()

    def shared(self):
        before = self.live()
        self.change("shared/src/lib.rs")
        self.push()
        self.assertEqual(self.moved(before), set(before))
        self.assert_serves_main()

    def migration(self):
        before = self.live()
        (self.repository / "migrations/V900__more.sql").write_text("select 1;\n")
        self.change("functions/list-tasks/src/main.rs")
        self.calls()
        self.push()
        calls = [call.partition(" ->")[0] for call in self.calls()]
        self.assertEqual(calls[1:], [f"invoke {STACK}-migrate", f"canary {STACK}-list-tasks {before['list-tasks']}"])
        self.assertEqual(self.moved(before), {"migrate", "list-tasks"})
        self.assert_serves_main()

    def failing_migration(self):
        before = self.live()
        (self.repository / "migrations/V901__broken.sql").write_text("-- BROKEN\n")
        self.change("functions/list-tasks/src/main.rs")
        self.assertIn("is broken", self.fails())
        self.assertEqual(self.moved(before), set())
        # A change of documents doesn't hide that main is not deployed.
        self.change("README.md")
        self.assertIn("is broken", self.fails())
        (self.repository / "migrations/V901__broken.sql").unlink()
        self.push()
        self.assert_serves_main()

    def failing_canary(self):
        before = self.live()
        self.change("functions/get-task/src/main.rs", "// ALARMING\n")
        self.change("functions/list-tasks/src/main.rs")
        self.assertIn(f"{STACK}-get-task-errors went off", self.fails())
        self.assertEqual(self.moved(before), set())
        self.git("revert", "--no-edit", "HEAD")
        self.push()
        self.assertEqual(self.moved(before), set())
        self.assert_serves_main()

    def roll_back(self):
        before = self.live()
        for package in ("get-task", "list-tasks"):
            self.change(f"functions/{package}/src/main.rs", "// regretted\n")
        self.push()
        # Not to the version that a canary rejected. One function, then all that the deployment has changed.
        self.run_workflow("roll-back", "production", ["roll-back"], "workflow_dispatch", function="get-task")
        self.assertEqual(self.moved(before), {"list-tasks"})
        self.run_script("deploy/stack.py", "roll-back", STACK, "get-task", str(before["get-task"] + 2))
        self.run_workflow("roll-back", "production", ["roll-back"], "workflow_dispatch")
        self.assertEqual(self.moved(before), set())
        with self.assertRaises(Failed):
            self.run_script("deploy/stack.py", "roll-back", STACK, "unknown")
        # During a deployment, it cancels that.
        with self.cloud.state() as cloud:
            cloud.stacks[STACK]["StackStatus"] = "UPDATE_IN_PROGRESS"
        self.run_script("deploy/stack.py", "roll-back", STACK)
        self.assertIn(f"cancel {STACK}", self.calls())
        with self.assertRaises(Failed) as raised:
            self.deploy()
        self.assertIn("UPDATE_IN_PROGRESS", raised.exception.args[1])
        with self.cloud.state() as cloud:
            cloud.stacks[STACK]["StackStatus"] = "UPDATE_COMPLETE"

    def deployment_after_a_roll_back(self):
        before = self.live()
        # What was rolled back stays so until it changes.
        self.change("functions/health/src/main.rs")
        self.push()
        self.assertEqual(self.moved(before), {"health", "health-ready"})
        self.assert_serves_what_was_requested(but=(f"{STACK}-get-task", f"{STACK}-list-tasks"))
        # A deployment that fails doesn't bring it back.
        self.change("functions/get-task/src/main.rs", "// fixed\n")
        (self.repository / "migrations/V902__broken.sql").write_text("-- BROKEN\n")
        self.fails()
        self.assertEqual(self.moved(before), {"health", "health-ready"})
        (self.repository / "migrations/V902__broken.sql").unlink()
        self.change("functions/list-tasks/src/main.rs", "// fixed\n")
        self.calls()
        self.assertIn("no canary, because these were rolled back", self.push())
        self.assertEqual(self.calls(), [f"sam deploy {STACK}"])
        self.assert_serves_main()
        # The next one has a canary again.
        self.change("functions/get-task/src/main.rs")
        self.push()
        self.assertIn(f"canary {STACK}-get-task", " ".join(self.calls()))

    def pruning(self):
        with self.cloud.state() as cloud:
            for name, function in cloud.functions.items():
                self.assertLessEqual(len(function["versions"]), 1 + 5 + 1, name)
            self.assertGreater(len(cloud.functions[f"{STACK}-get-task"]["versions"]), 3)

    def deletion(self):
        self.run_script("sam", "delete", "--stack-name", STACK, "--region", "eu-central-1", "--no-prompts")
        with self.cloud.state() as cloud:
            self.assertEqual((cloud.stacks, cloud.functions), ({}, {}))

    def test_staging_is_deployed_by_its_own_workflow(self):
        for stack in (STACK, "task-api-staging"):
            self.deploy(stack, EnvironmentName=stack[9:], **PARAMETERS)
        guide = (ROOT / "docs/deployment.md").read_text()
        (copy,) = re.findall(r"^ *sed .*?deploy-staging\.yml$", guide, re.DOTALL | re.MULTILINE)
        self.run_script("bash", "-ec", copy)
        self.change("functions/get-task/src/main.rs")
        production, staging = self.live(), self.live("task-api-staging")
        self.push(name="deploy-staging", environment="staging")
        self.assertEqual(self.moved(staging, "task-api-staging"), {"get-task"})
        self.assertEqual(self.moved(production), set())


class Preview(Repository):
    NAME = "task-api-pr-42"

    def setUp(self):
        super().setUp()
        self.neon = Neon.serve(self)
        self.environment |= {"NEON_API_URL": self.neon.url, "NEON_POLL_SECONDS": "0.01"}
        self.variables |= {"PREVIEWS": "true", "NEON_PROJECT_ID": "old-sun-123456", "NEON_PARENT_ID": "br-main"}

    def preview(self, repository="octocat/tasks"):
        event = {"pull_request": {"number": 42, "head": {"repo": {"full_name": repository}}, "user": {"login": "octocat"}}}
        return self.run_workflow("preview", "preview", ["build", "up"], "pull_request", event)

    def sweep(self, state):
        self.runs.with_name("pull-request-42").write_text(state)
        self.run_workflow("sweep", "preview-sweep", ["sweep"], "schedule")

    def assert_is_up(self):
        with self.cloud.state() as cloud:
            self.assertEqual(cloud.stacks[self.NAME]["StackStatus"][-8:], "COMPLETE")
            self.assertNotIn("AWS::CloudWatch::Alarm", json.dumps(cloud.stacks[self.NAME]))
            endpoints, owner = cloud.secrets[self.NAME], cloud.secrets[f"{self.NAME}-migrate"]
        (branch,) = (it["id"] for it in self.neon.branches if it["name"] == self.NAME)
        login, host = endpoints["DATABASE_URL"].removeprefix("postgresql://").split("@")
        self.assertTrue(login.startswith("task_api_endpoints:") and host.startswith(f"ep-{branch}-pooler."), login)
        self.assertTrue(owner["DATABASE_URL"].startswith(f"postgresql://neondb_owner:secret@ep-{branch}."), owner)
        host, user, owner_password, statements = self.statements.read_text().split(" ", 3)
        self.assertEqual((host, user, owner_password), (f"ep-{branch}.eu.aws.neon.tech", "neondb_owner", "secret"))
        self.assertIn(f"\\set password {login.partition(':')[2]}\n", statements)
        self.statements.unlink()
        return endpoints

    def test_the_life_of_a_preview(self):
        # The first deployment fails. The next push starts again.
        self.change("migrations/V1__schema.sql", "-- BROKEN\n")
        self.commit()
        with self.assertRaises(Failed):
            self.preview()
        self.statements.unlink()
        self.git("revert", "--no-edit", "HEAD")
        self.preview()
        first = self.assert_is_up()
        self.neon.locked = 3
        self.preview()
        self.assertEqual(self.assert_is_up(), first, "tokens and connections stay valid")
        comments = self.runs.with_name("comments").read_text().splitlines()
        self.assertEqual(comments, ["42 Preview: https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"] * 2)
        # Neon has deleted the branch. The new one gets the migrations, and the secret its URL.
        self.neon.branches = self.neon.branches[:1]
        self.calls()
        self.preview()
        self.assertIn(f"invoke {self.NAME}-migrate", self.calls())
        self.assertNotEqual(self.assert_is_up()["DATABASE_URL"], first["DATABASE_URL"])
        # A pull request with a conflict runs no workflow when it is closed. The sweep finds it.
        self.sweep("OPEN")
        self.assertIn(self.NAME, self.cloud.path.read_text())
        self.deploy(**PARAMETERS)
        self.neon.branches.append({"id": "br-2", "name": "task-api-pr-nothing"})
        for _ in range(2):
            self.sweep("CLOSED")
            with self.cloud.state() as cloud:
                self.assertEqual((list(cloud.stacks), cloud.secrets), ([STACK], {}))
            self.assertEqual([branch["id"] for branch in self.neon.branches], ["br-main", "br-2"])

    def test_failures_of_neon_are_reported_without_the_key(self):
        self.neon.outcome = "failed"
        with self.assertRaises(Failed) as raised:
            self.preview()
        self.assertIn("Neon's operation create_branch ended with status failed", raised.exception.args[1])
        self.neon.key = "another"
        with self.assertRaises(Failed) as raised:
            self.preview()
        self.assertIn("Neon answered 401 to GET /branches", raised.exception.args[1])
        self.assertNotIn("the-key", raised.exception.args[1])

    def test_forks_and_repositories_without_previews_get_none(self):
        self.assertEqual(self.preview("somebody/tasks"), [None] * 2)
        self.variables["PREVIEWS"] = ""
        self.assertEqual(self.preview(), [None] * 2)


if __name__ == "__main__":
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    names = sys.argv[1:] or ["Workflows", "WalkThrough", "Preview"]
    result = runner.run(unittest.defaultTestLoader.loadTestsFromNames(names, sys.modules["__main__"]))
    failed = len({str(test).partition(" [")[0].partition(" (step")[0] for test, _ in result.failures + result.errors})
    print(f"{result.testsRun - failed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(failed > 0)
