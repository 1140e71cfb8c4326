"""Runs a job of a GitHub workflow, with the features that this repository's workflows use."""

import os
import re
import shutil
import signal
import subprocess

import yaml


class Names(dict):
    """Values that expressions access with dots. A missing value is an empty string."""

    def __getattr__(self, name):
        value = self.get(name, "")
        return Names(value) if isinstance(value, dict) else value


class Failed(Exception):
    """A failed step or command: (its name, its output)."""


def evaluate(expression, context):
    """Returns the value of an expression between ${{ and }}."""
    python = expression.replace("&&", " and ").replace("||", " or ")
    python = re.sub(r"!(?!=)", " not ", python)
    names = {name: Names(values) for name, values in context.items()}
    return eval(python, {"contains": lambda text, part: part in text}, names)


def fill(text, context):
    return re.sub(r"\$\{\{(.*?)\}\}", lambda match: str(evaluate(match.group(1).strip(), context)), str(text))


def allowed(condition, context):
    bare = (condition or "true").strip().removeprefix("${{").removesuffix("}}")
    return bare == "true" or bool(evaluate(" ".join(bare.split()), context))


class Workflow:
    """A run of a workflow file. `checkout` copies the repository, `assume` gets the environment and the
    role."""

    def __init__(self, path, checkout, assume, environment, variables, github, inputs):
        self.jobs = yaml.safe_load(path.read_text())["jobs"]
        self.checkout, self.assume, self.environment = checkout, assume, environment
        self.context = {"vars": variables, "needs": {}, "inputs": inputs, "secrets": {"NEON_API_KEY": "the-key"},
                        "github": {"token": "a token"} | github}
        self.artifacts = {}
        # The process of the current step, which GitHub signals when a job is canceled.
        self.process = None

    def run(self, name, temporary):
        """Runs a job and returns its output, or None if its condition is false. Raises Failed if a step
        fails."""
        job = self.jobs[name]
        context = self.context | {"steps": {}}
        if not allowed(job.get("if"), context):
            return None
        folder, output = self.checkout(temporary / name), ""
        runner = temporary / f"{name}-runner"
        runner.mkdir()
        for step in job["steps"]:
            if not allowed(step.get("if"), context):
                continue
            given = {key: fill(value, context) for key, value in (job.get("env", {}) | step.get("env", {})).items()}
            uses = step.get("uses", "").partition("@")[0]
            with_ = {key: fill(value, context) for key, value in step.get("with", {}).items()}
            if uses == "actions/upload-artifact":
                self.artifacts[with_["name"]] = self.collect(folder, with_["path"])
            elif uses == "actions/download-artifact":
                for path, content in self.artifacts[with_["name"]].items():
                    # As on GitHub, artifacts lose the files' permissions.
                    target = folder / with_["path"] / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)
            elif uses == "aws-actions/configure-aws-credentials":
                assert job["permissions"].get("id-token") == "write", "without id-token there is no role"
                self.assume(job.get("environment"), with_["role-to-assume"])
            elif uses in ("actions/checkout", "actions/attest-build-provenance"):
                pass
            elif uses:
                raise AssertionError(f"unknown action {uses}")
            # The suite's run.sh has already installed the tools.
            elif step.get("name") != "Tools":
                outputs = runner / "step-outputs"
                outputs.write_text("")
                script = runner / "step.sh"
                script.write_text(step["run"])
                # If the suite runs in the background, it ignores SIGINT, and the process would inherit that.
                self.process = subprocess.Popen(
                    ["bash", "-e", script], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                    env=self.environment | given | {"GITHUB_OUTPUT": str(outputs), "RUNNER_TEMP": str(runner)})
                output += self.process.communicate()[0]
                if self.process.returncode:
                    raise Failed(step.get("name"), output)
                pairs = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
                context["steps"][step.get("id", "")] = {"outputs": pairs}
        outputs = {key: fill(value, context) for key, value in job.get("outputs", {}).items()}
        self.context["needs"][name] = {"outputs": outputs}
        shutil.rmtree(folder)
        return output

    @staticmethod
    def collect(folder, pattern):
        """Returns the files that match, by their path relative to what precedes the first wildcard."""
        base = folder / pattern.partition("*")[0]
        return {str(path.relative_to(base)): path.read_bytes() for path in folder.glob(pattern) if path.is_file()} or {
            str(path.relative_to(base)): path.read_bytes() for path in base.rglob("*") if path.is_file()}
