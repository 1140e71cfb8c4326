"""Runs a job of a GitHub workflow, with the features that this repository's workflows use."""

import os
import re
import shutil
import subprocess

import yaml


class Names(dict):
    """Values that expressions access with dots. A missing value is an empty string."""

    def __getattr__(self, name):
        value = self.get(name, {})
        return Names(value) if isinstance(value, dict) else value

    def __str__(self):
        return "" if not self else super().__str__()


class Failed(Exception):
    """A failed step or command: (its name, its output)."""


def evaluate(expression, context):
    """Returns the value of an expression between ${{ and }}."""
    python = expression.replace("&&", " and ").replace("||", " or ")
    python = re.sub(r"!(?!=)", " not ", python)
    names = {name: Names(values or {}) for name, values in context.items()}
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
        # What actions/cache keeps between runs, and where the current job has it.
        self.cache, self.cached = path.parents[3] / "cache", None

    def run(self, name, temporary):
        """Runs a job and returns its output, or None if its condition is false. Raises Failed if a step
        fails."""
        job = self.jobs[name]
        context = self.context | {"steps": {}}
        # A job is also skipped if a job that it needs was skipped.
        if not allowed(job.get("if"), context) or context["needs"].get(job.get("needs"), context) is None:
            self.context["needs"][name] = None
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
            elif uses.startswith("actions/cache"):
                self.cached = folder / with_["path"]
                if self.cache.is_dir():
                    shutil.copytree(self.cache, self.cached)
            # The suite's run.sh has already installed the tools.
            elif uses in ("actions/checkout", "./.github/actions/tools"):
                pass
            elif uses:
                raise AssertionError(f"unknown action {uses}")
            else:
                outputs = runner / "step-outputs"
                outputs.write_text("")
                script = runner / "step.sh"
                script.write_text(step["run"])
                done = subprocess.run(
                    ["bash", "-e", script], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    env=self.environment | given | {"GITHUB_OUTPUT": str(outputs), "RUNNER_TEMP": str(runner)})
                output += done.stdout
                if done.returncode:
                    raise Failed(step.get("name"), output)
                pairs = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
                context["steps"][step.get("id", "")] = {"outputs": pairs}
        outputs = {key: fill(value, context) for key, value in job.get("outputs", {}).items()}
        self.context["needs"][name] = {"outputs": outputs}
        if self.cached and self.cached.is_dir():
            shutil.rmtree(self.cache, ignore_errors=True)
            shutil.copytree(self.cached, self.cache)
        shutil.rmtree(folder)
        return output

    @staticmethod
    def collect(folder, pattern):
        """Returns the files that match, by their path relative to what precedes the first wildcard."""
        base = folder / pattern.partition("*")[0]
        return {str(path.relative_to(base)): path.read_bytes() for path in folder.glob(pattern) if path.is_file()} or {
            str(path.relative_to(base)): path.read_bytes() for path in base.rglob("*") if path.is_file()}
