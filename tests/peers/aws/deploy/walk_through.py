"""Runs the deployment scripts and workflows against a simulation of AWS, in the order of docs/deployment.md.

cloud.py, with SAM's translator and CloudFormation's registry, and the stubs in bin/ simulate AWS. The life of
a stack is one test, because each step starts from the state that the step before has left.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

from cloud import Cloud, Resolver, settings_of
from neon import Neon
from workflow import Failed, Workflow

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
STACK = "task-api-prod"
SUBJECT = "repo:octocat@1001/tasks@2002:environment:{}"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:task-api/{}-AbCdEf"
# Another valid value of each parameter that has neither allowed values nor a numeric type.
OTHERS = {
    "AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:alarms", "CorsAllowedOrigins": "https://b.example",
    "EnvironmentName": "other", "JwtAudience": "tasks", "JwtIssuer": "https://a.example",
    "JwtJwksUrl": "https://a.example/jwks", "MigrationSecretArn": ARN.format("owner"), "SecretArn": ARN.format("other"),
    "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/task-api-ci/boundary", "Release": "another",
}


def subjects(parameters):
    """Returns the values of `sub` that the role of CI trusts."""
    template = yaml_parse((ROOT / "deploy/ci-role.yaml").read_text())
    defaults = {name: str(it["Default"]) for name, it in template["Parameters"].items() if "Default" in it}
    trust = template["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"]
    trust = Resolver(template, "ci", defaults | parameters, {}).value(trust)
    (statement,) = trust["Statement"]
    sub = statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
    return [sub] if isinstance(sub, str) else sub


ROLE = {"Repository": "octocat/tasks", "OwnerId": "1001", "RepositoryId": "2002", "ProviderArn": "arn"}


class Trust(unittest.TestCase):
    def test_the_role_trusts_both_forms_of_sub_but_no_other_repository_or_environment(self):
        self.assertIn(SUBJECT.format("production"), subjects(ROLE))
        self.assertIn("repo:octocat/tasks:environment:production", subjects(ROLE))
        for stranger in ("repo:octocat@1001/tasks@3003:environment:production", SUBJECT.format("preview"),
                         "repo:octocat@1001/tasks@2002:ref:refs/heads/main"):
            self.assertNotIn(stranger, subjects(ROLE))
        self.assertNotIn("*", "".join(subjects(ROLE)))


class Workflows(unittest.TestCase):
    @staticmethod
    def read(name):
        # PyYAML reads the key `on` as true.
        import yaml
        return yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())

    def test_jobs_that_build_have_no_credentials(self):
        for name, path in [(path.stem, path) for path in (ROOT / ".github/workflows").glob("*.yml")]:
            for key, job in self.read(name)["jobs"].items():
                script = json.dumps(job)
                if "build.sh" in script or "cargo " in script or ".ci/run" in script:
                    self.assertNotIn("id-token", job.get("permissions", {}), f"{name}: {key}")
                    self.assertNotIn("environment", job, f"{name}: {key}")
                    self.assertNotIn("secrets.", script, f"{name}: {key}")

    def test_python_packages_are_pinned_by_hash(self):
        lines = (ROOT / "deploy/requirements.txt").read_text().replace("\\\n", "").splitlines()
        pinned = [line for line in lines if not line.startswith("#")]
        self.assertGreater(len(pinned), 20)
        for line in pinned:
            self.assertRegex(line, r"^[^=]+==\S+ .*--hash=sha256:[0-9a-f]{64}")
        for path in (ROOT / ".github/workflows").glob("*.yml"):
            for line in re.findall(r".*pip.*install.*", path.read_text()):
                self.assertIn("--require-hashes", line, path.name)

    def test_a_roll_back_does_not_wait_and_is_not_canceled_by_a_push(self):
        deploy, roll_back = self.read("deploy"), self.read("roll-back")
        self.assertNotEqual(deploy["concurrency"]["group"], roll_back["concurrency"]["group"])
        self.assertFalse(roll_back["concurrency"]["cancel-in-progress"])
        self.assertFalse(any("needs" in job or "checks" in job.get("uses", "") for job in roll_back["jobs"].values()))

    def test_code_of_a_fork_never_runs_with_secrets(self):
        preview = self.read("preview")
        self.assertEqual(set(preview[True]), {"pull_request"}, "has no secrets for forks")
        for job in preview["jobs"].values():
            self.assertIn("github.event.pull_request.head.repo.full_name == github.repository", job["if"])
            self.assertIn("vars.PREVIEWS == 'true'", job["if"])

    def test_a_rename_counts_as_a_change_of_both_paths(self):
        told = subprocess.run([ROOT / "deploy/changed.py"], check=True, capture_output=True, text=True,
                              input="R090\tfunctions/get-task/src/a.rs\tfunctions/health/src/a.rs\n").stdout
        self.assertEqual(told.split(), ["get-task", "health"])
        self.assertIn("--no-renames", (ROOT / ".github/workflows/deploy.yml").read_text())


class Repository(unittest.TestCase):
    """A copy of the repository and an empty AWS account."""

    maxDiff = None
    trusted = "production"

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
        self.runs = self.folder / "runs.json"
        self.runs.write_text("[]")
        self.cloud = Cloud(self.folder / "cloud.json")
        self.environment = {
            "PATH": f"{HERE / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.folder),
            "CARGO": shutil.which("cargo"), "CARGO_HOME": os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")),
            "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
            "CLOUD": str(self.cloud.path), "RUNS": str(self.runs), "AWS_DEFAULT_REGION": "eu-central-1",
            "CANARY_SECONDS": "1", "POLL_SECONDS": "1",
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

    def edit(self, path, old, new):
        file = self.repository / path
        text = file.read_text()
        self.assertIn(old, text, path)
        file.write_text(text.replace(old, new, 1))

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

    def assume(self, environment, role):
        self.assertEqual(role, "arn:of-the-role")
        self.assertIn(SUBJECT.format(environment), subjects(ROLE | {"GitHubEnvironment": self.trusted}))

    def workflow(self, name, event_name, event=None, **inputs):
        github = {"event_name": event_name, "event": event, "repository": "octocat/tasks"}
        path = self.repository / f".github/workflows/{name}.yml"
        return Workflow(path, self.checkout, self.assume, self.environment, self.variables, github, inputs)


class WalkThrough(Repository):
    def push(self, event="push", meanwhile=None):
        """Commits and runs deploy.yml. Returns its output, or fails as it does. `meanwhile` is called with
        the run."""
        self.commit()
        workflow = self.workflow("deploy", event)
        if meanwhile:
            threading.Thread(target=meanwhile, args=[workflow]).start()
        runs = json.loads(self.runs.read_text())
        runs.insert(0, {"headSha": self.git("rev-parse", "HEAD"), "conclusion": ""})
        self.runs.write_text(json.dumps(runs))
        temporary = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            output = workflow.run("build", temporary) + (workflow.run("deploy", temporary) or "")
            runs[0]["conclusion"] = "success"
        except Failed:
            runs[0]["conclusion"] = "failure"
            raise
        finally:
            self.runs.write_text(json.dumps(runs))
        return output

    def fails(self, step, **options):
        """Pushes a change that must not be deployed, and returns the output of the step that must fail."""
        with self.assertRaises(Failed) as raised:
            self.push(**options)
        self.assertEqual(raised.exception.args[0], step, raised.exception.args[1])
        return raised.exception.args[1]

    def packages(self):
        """Returns {function: package} for the functions of the stack."""
        template = yaml_parse((self.repository / "template.yaml").read_text())
        return {f"{STACK}{it['Properties']['FunctionName']['Fn::Sub'].partition('}')[2]}":
                it["Metadata"]["BuildProperties"]["Binary"]
                for it in template["Resources"].values() if it["Type"] == "AWS::Serverless::Function"}

    def versions(self):
        with self.cloud.state() as cloud:
            return {name: cloud.functions[name]["alias"]["FunctionVersion"] for name in cloud.functions}

    def calls(self):
        """Returns the calls since the last time."""
        with self.cloud.state() as cloud:
            found, cloud.calls = cloud.calls, []
            return found

    def programs(self):
        """Returns {function: the program that its alias serves}."""
        with self.cloud.state() as cloud:
            return {name: cloud.code[cloud.serving(name)["CodeSha256"]] for name in cloud.functions}

    def assert_serves_main(self):
        """Checks that every function serves the code of main, with the configuration that was requested
        last."""
        with tempfile.TemporaryDirectory() as folder:
            checkout = self.checkout(Path(folder) / "main")
            self.run_script("deploy/build.sh", folder=checkout)
            built = {path.parent.name: path.read_text() for path in checkout.glob("target/lambda/*/bootstrap")}
        packages = self.packages()
        self.assertEqual(self.programs(), {name: built[packages[name]] for name in self.versions()})
        self.assert_serves_what_was_requested()

    def assert_serves_what_was_requested(self):
        with self.cloud.state() as cloud:
            for resource in cloud.stacks[STACK]["resources"].values():
                if resource["Type"] == "AWS::Lambda::Function":
                    name = resource["Properties"]["FunctionName"]
                    serving = {key: value for key, value in cloud.serving(name).items() if key != "CodeSha256"}
                    self.assertEqual(serving, settings_of(resource["Properties"]), name)

    def sam_deploy(self, **parameters):
        """Runs `sam deploy` by hand, with what was packaged last. Only CloudFormation acts."""
        template = self.repository / "target/deploy/template.yaml"
        self.run_script("sam", "deploy", "--template-file", template,
                        "--config-file", self.repository / "samconfig.toml", "--config-env", "prod",
                        "--stack-name", STACK,
                        "--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items()))

    def other(self, name, parameter, current):
        if "AllowedValues" in parameter:
            return next(str(value) for value in parameter["AllowedValues"] if str(value) != current)
        if parameter["Type"] == "Number":
            return str(int(current) + 1)
        self.assertIn(name, OTHERS, "OTHERS needs another value of this parameter")
        return OTHERS[name]

    def test_the_life_of_a_stack(self):
        steps = (self.first_deployment, self.each_parameter, self.one_function, self.shared, self.migration,
                 self.failing_migration, self.failing_canary, self.template_after_functions,
                 self.settings_that_no_version_has, self.roll_back, self.deletion)
        document = (ROOT / "docs/deployment.md").read_text()
        section = document.partition("## The life of a stack")[2].partition("\n## ")[0]
        self.assertEqual(re.findall(r"^### (.*)", section, re.MULTILINE), [step.__doc__ for step in steps])
        steps[0]()
        for step in steps[1:]:
            started = time.time()
            with self.subTest(step.__name__):
                step()
            print(f"    {step.__name__}: {time.time() - started:.0f} s", flush=True)

    def first_deployment(self):
        """The first deployment"""
        template = yaml_parse((self.repository / "template.yaml").read_text())
        needed = {name: OTHERS[name] for name, it in template["Parameters"].items() if "Default" not in it}
        self.run_script("deploy/build.sh")
        self.run_script("deploy/stack.sh", STACK, "prod", *(f"{name}={value}" for name, value in needed.items()))
        self.assertEqual(set(self.versions()), set(self.packages()))
        self.assert_serves_main()
        self.assertIn(f"invoke {STACK}-migrate", self.calls())
        # The workflow's first run has no deployment to compare with, and finds every function up to date.
        self.push()
        self.assert_serves_main()

    def each_parameter(self):
        """A parameter changes"""
        template = yaml_parse((self.repository / "template.yaml").read_text())
        for name, parameter in template["Parameters"].items():
            with self.subTest(name):
                with self.cloud.state() as cloud:
                    current = cloud.stacks[STACK]["parameters"][name]
                self.sam_deploy(**{name: self.other(name, parameter, current)})
                self.assert_serves_what_was_requested()
                self.sam_deploy(**{name: current})
                self.assert_serves_what_was_requested()
        # CI changes only this parameter.
        self.variables["PARAMETERS"] = "LogLevel=debug"
        self.push("workflow_dispatch")
        del self.variables["PARAMETERS"]
        with self.cloud.state() as cloud:
            serving = cloud.serving(f"{STACK}-get-task")["Environment"]["Variables"]
        self.assertEqual(serving["LOG_LEVEL"], "debug")
        self.assert_serves_main()

    def one_function(self):
        """The code of one function changes"""
        before = self.versions()
        self.change("functions/get-task/src/main.rs")
        output = self.push()
        self.assertIn("to deploy: get-task\n", output)
        moved = {name for name, version in self.versions().items() if version != before[name]}
        self.assertEqual(moved, {f"{STACK}-get-task"})
        self.assert_serves_main()

    def shared(self):
        """Code in shared/ changes"""
        before = self.versions()
        self.change("shared/src/lib.rs")
        self.push()
        self.assertTrue(all(version != before[name] for name, version in self.versions().items()))
        self.assert_serves_main()

    def migration(self):
        """A migration is added"""
        before = self.versions()
        (self.repository / "migrations/V900__more.sql").write_text("select 1;\n")
        self.change("functions/list-tasks/src/main.rs")
        self.calls()
        self.push()
        calls = [call for call in self.calls() if "migrate" in call or "list-tasks" in call]
        self.assertEqual(calls[0], f"invoke {STACK}-migrate", "the migration runs first")
        moved = {name for name, version in self.versions().items() if version != before[name]}
        self.assertEqual(moved, {f"{STACK}-migrate", f"{STACK}-list-tasks"})
        self.assert_serves_main()

    def failing_migration(self):
        """A migration fails"""
        before = self.versions()
        (self.repository / "migrations/V901__broken.sql").write_text("-- BROKEN\n")
        self.change("functions/list-tasks/src/main.rs")
        self.assertIn("is broken", self.fails("Functions"))
        self.assertEqual(self.versions(), before)
        # If the template has changed as well, CloudFormation's deployment fails.
        self.change("template.yaml", "# changed\n")
        self.fails("Stack")
        self.assertEqual(self.programs().keys(), before.keys())
        (self.repository / "migrations/V901__broken.sql").unlink()
        self.push()
        self.assert_serves_main()

    def cancel(self, workflow):
        """Cancels a run, as GitHub does, as soon as its canary has started."""
        weights = {}
        while not weights:
            time.sleep(0.2)
            with self.cloud.state() as cloud:
                weights = cloud.functions[f"{STACK}-get-task"]["alias"]["Weights"]
        workflow.process.send_signal(signal.SIGINT)

    def failing_canary(self):
        """A canary fails"""
        before, programs = self.versions(), self.programs()
        self.change("functions/get-task/src/main.rs", "// ALARMING\n")
        self.assertIn(f"alarm went off: {STACK}-errors", self.fails("Functions"))
        self.assertEqual((self.versions(), self.programs()), (before, programs))
        with self.cloud.state() as cloud:
            cloud.set_alarm(f"{STACK}-errors", "OK")
        time.sleep(1.1)
        self.git("revert", "--no-edit", "HEAD")
        self.push()
        self.assert_serves_main()
        # A job that is canceled during its canary.
        before, self.environment["CANARY_SECONDS"] = self.versions(), "60"
        self.change("functions/get-task/src/main.rs")
        self.fails("Functions", meanwhile=self.cancel)
        self.environment["CANARY_SECONDS"] = "1"
        self.assertEqual(self.versions(), before)
        self.programs()
        self.push()
        self.assert_serves_main()

    def template_after_functions(self):
        """The template changes after functions were deployed"""
        # CloudFormation has the code of its last deployment. Since then, one function was deployed without
        # CloudFormation.
        main = self.repository / "functions/get-task/src/main.rs"
        known = main.read_text()
        self.change("functions/get-task/src/main.rs", "// a while\n")
        self.push()
        # Another one was rejected. Main goes back to the code that CloudFormation has, and the template
        # changes.
        self.change("functions/list-tasks/src/main.rs", "// ALARMING\n")
        self.fails("Functions")
        with self.cloud.state() as cloud:
            cloud.set_alarm(f"{STACK}-errors", "OK")
        time.sleep(1.1)
        self.edit("functions/list-tasks/src/main.rs", "// ALARMING\n", "")
        main.write_text(known)
        self.change("template.yaml", "# changed\n")
        since = time.time()
        self.push()
        self.assert_serves_main()
        # The rejected code was never in service again meanwhile.
        with self.cloud.state() as cloud:
            recent = [change for alarm in cloud.alarms.values() for change in alarm["history"] if change[0] > since]
        self.assertEqual(recent, [])

    def settings_that_no_version_has(self):
        """A setting that is not part of a version changes"""
        template = self.repository / "target/deploy/template.yaml"
        code = "      CodeUri: get-task.zip\n"
        for line in ("      Tags: { team: tasks }\n", "      Tags: { team: others }\n"):
            self.run_script("deploy/build.sh")
            self.run_script("deploy/stack.sh", STACK, "prod")
            before = self.versions()
            self.assertIn(code, template.read_text())
            template.write_text(template.read_text().replace(code, code + line))
            self.sam_deploy(LogRetentionDays="7")
            self.assertEqual(self.versions(), before)
            self.assert_serves_what_was_requested()

    def roll_back(self):
        """A function is rolled back"""
        self.push()
        before = self.programs()[f"{STACK}-get-task"]
        self.change("functions/get-task/src/main.rs", "// regretted\n")
        self.push()
        self.assertNotEqual(self.programs()[f"{STACK}-get-task"], before)
        temporary = Path(tempfile.mkdtemp(dir=self.folder))
        self.workflow("roll-back", "workflow_dispatch", package="get-task").run("roll-back", temporary)
        self.assertEqual(self.programs()[f"{STACK}-get-task"], before)
        # It stays rolled back, whatever else is deployed, until the function changes in main.
        self.change("functions/list-tasks/src/main.rs")
        self.push()
        self.assertEqual(self.programs()[f"{STACK}-get-task"], before)
        self.edit("functions/get-task/src/main.rs", "// regretted\n", "")
        self.push()
        self.assert_serves_main()

    def deletion(self):
        """The stack is deleted"""
        self.run_script("sam", "delete", "--stack-name", STACK, "--no-prompts")
        with self.cloud.state() as cloud:
            self.assertEqual((cloud.stacks, cloud.functions, cloud.alarms), ({}, {}, {}))


class AnotherEnvironment(Repository):
    """The guide "Run another environment" of docs/deployment.md."""

    trusted = "staging"

    def versions(self, stack):
        with self.cloud.state() as cloud:
            return {name: cloud.functions[name]["alias"]["FunctionVersion"] for name in cloud.functions
                    if name.startswith(f"{stack}-")}

    def test_staging_is_deployed_by_its_own_workflow_and_removed_without_touching_production(self):
        self.run_script("deploy/build.sh")
        for stack, name in ((STACK, "prod"), ("task-api-staging", "staging")):
            self.run_script("deploy/stack.sh", stack, "prod", f"EnvironmentName={name}",
                            f"SecretArn={ARN.format(name)}", f"MigrationSecretArn={ARN.format(name + '-migrate')}")
        with self.cloud.state() as cloud:
            variables = cloud.serving("task-api-staging-get-task")["Environment"]["Variables"]
        self.assertEqual((variables["ENVIRONMENT"], variables["SECRET_ID"]), ("staging", ARN.format("staging")))

        guide = (ROOT / "docs/deployment.md").read_text().partition("## Run another environment")[2]
        (copy,) = re.findall(r"^   ```sh\n(   sed .*?)^   ```$", guide.partition("\n## ")[0], re.DOTALL | re.MULTILINE)
        self.run_script("bash", "-ec", copy)
        self.change("functions/get-task/src/main.rs")
        self.commit()
        self.runs.write_text(json.dumps([{"headSha": self.git("rev-parse", "HEAD^"), "conclusion": "success"}]))
        production, staging = self.versions(STACK), self.versions("task-api-staging")
        workflow = self.workflow("deploy-staging", "push")
        for job in ("build", "deploy"):
            workflow.run(job, Path(tempfile.mkdtemp(dir=self.folder)))
        self.assertEqual(self.versions(STACK), production)
        # The commit also adds the workflow, which affects no function.
        moved = {name for name, version in self.versions("task-api-staging").items() if version != staging[name]}
        self.assertEqual(moved, {"task-api-staging-get-task"})

        self.run_script("sam", "delete", "--stack-name", "task-api-staging", "--no-prompts")
        self.assertEqual(self.versions("task-api-staging"), {})
        self.assertEqual(self.versions(STACK), production)


class Preview(Repository):
    trusted = "preview"

    def run_jobs(self, action, repository="octocat/tasks"):
        event = {"action": action, "pull_request": {"number": 42, "head": {"repo": {"full_name": repository}},
                                                    "user": {"login": "octocat"}}}
        workflow = self.workflow("preview", "pull_request", event)
        temporary = Path(tempfile.mkdtemp(dir=self.folder))
        return [workflow.run(job, temporary) for job in ("build", "up", "down")]

    def test_a_pull_request_has_its_own_stack_and_database_until_it_is_closed(self):
        neon = Neon.serve(self)
        self.environment |= {"NEON_API_URL": neon.url, "NEON_POLL_SECONDS": "0.01"}
        self.variables |= {"PREVIEWS": "true", "NEON_PROJECT_ID": "old-sun-123456", "NEON_PARENT_ID": "br-main"}
        for action in ("opened", "synchronize"):
            self.run_jobs(action)
            with self.cloud.state() as cloud:
                self.assertEqual(list(cloud.stacks), ["task-api-pr-42"])
                secret = cloud.secrets["task-api-pr-42"]
                variables = cloud.serving("task-api-pr-42-get-task")["Environment"]["Variables"]
            self.assertIn("secret:task-api-pr-42-", variables["SECRET_ID"])
            self.assertIn(f"@ep-{neon.branches[1]['id']}-pooler.", secret["DATABASE_URL"])
            self.assertGreaterEqual(len(secret["JWT_SECRET"]), 64)
            self.assertEqual([branch["name"] for branch in neon.branches], ["main", "task-api-pr-42"])
        comments = self.runs.with_name("comments").read_text().splitlines()
        url = "https://task-api-pr-42-Api.execute-api.eu-central-1.amazonaws.com"
        self.assertEqual(comments, [f"42 Preview: {url}"] * 2)
        self.run_jobs("closed")
        with self.cloud.state() as cloud:
            self.assertEqual((cloud.stacks, cloud.functions, cloud.secrets), ({}, {}, {}))
        self.assertEqual([branch["name"] for branch in neon.branches], ["main"])

    def test_forks_and_repositories_without_previews_get_none(self):
        self.assertEqual(self.run_jobs("opened"), [None] * 3)
        self.variables["PREVIEWS"] = "true"
        self.assertEqual(self.run_jobs("opened", "somebody/tasks"), [None] * 3)
        self.assertEqual(self.run_jobs("closed", "somebody/tasks"), [None] * 3)


if __name__ == "__main__":
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    names = sys.argv[1:] or ["Trust", "Workflows", "WalkThrough", "AnotherEnvironment", "Preview"]
    result = runner.run(unittest.defaultTestLoader.loadTestsFromNames(names, sys.modules["__main__"]))
    failed = len({str(test).partition(" [")[0].partition(" (step")[0] for test, _ in result.failures + result.errors})
    print(f"{result.testsRun - failed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(failed > 0)
