"""Simulates what a deployment uses of Lambda, CodeDeploy and CloudFormation, as AWS documents it.

The state is in a file, because each call of the stubs `aws` and `sam` is a process of its own.
"""

import contextlib
import fcntl
import json
import re
import sys
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sam"))


class Rejected(Exception):
    """A call that AWS would reject: (code, message)."""


def now():
    return datetime.now(timezone.utc).isoformat()


def referenced(value):
    """Returns the names that a value refers to."""
    if isinstance(value, list):
        return set().union(*map(referenced, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(referenced, value.values()))
    for function, argument in value.items():
        if function == "Ref":
            found.add(argument)
        elif function == "Fn::GetAtt":
            found.add(argument.split(".")[0] if isinstance(argument, str) else argument[0])
        elif function == "Fn::Sub":
            text = argument[0] if isinstance(argument, list) else argument
            found |= {name.split(".")[0] for name in re.findall(r"\$\{([\w:.]+)\}", text)}
    return found


def in_order(resources):
    """Returns the names, each after those that it refers to or depends on."""
    done = []

    def visit(name, path):
        assert name not in path, f"a circle: {[*path, name]}"
        if name in done or name not in resources:
            return
        depends = resources[name].get("DependsOn", [])
        depends = {depends} if isinstance(depends, str) else set(depends)
        for other in sorted(referenced(resources[name].get("Properties", {})) | depends):
            visit(other, [*path, name])
        done.append(name)

    for name in resources:
        visit(name, [])
    return done


class Cloud:
    # `limit` is the account's limit of concurrent executions, 10 for a new account. `bucket` is SAM's.
    EMPTY = {"functions": {}, "stacks": {}, "secrets": {}, "bucket": {}, "calls": [], "limit": 10}

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.exists():
            self.path.write_text(json.dumps(self.EMPTY))

    @contextlib.contextmanager
    def state(self):
        with self.path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for name, value in json.load(file).items():
                setattr(self, name, value)
            try:
                yield self
            finally:
                file.seek(0)
                file.truncate()
                json.dump({name: getattr(self, name) for name in self.EMPTY}, file)

    # Lambda

    def serving(self, function):
        found = self.functions[function]
        return found["versions"][found["live"]]

    def publish(self, name, description):
        function = self.functions[name]
        wanted = function["latest"] | ({"Description": description} if description else {})
        newest = function["versions"].get(max(function["versions"], key=int, default=None), {})
        # "Lambda doesn't publish a version if the function's configuration and code haven't changed since the
        # last version": https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html. CloudFormation
        # reports an error.
        if newest == wanted | {"LastModified": newest.get("LastModified")}:
            raise Rejected("AlreadyExists", f"Version already exists: {name}:{function['number']}")
        function["number"] += 1
        function["versions"][str(function["number"])] = wanted | {"LastModified": now()}
        return str(function["number"])

    def delete_version(self, name, number):
        function = self.functions[name]
        if function["live"] == number:
            raise Rejected("ResourceConflictException", "the version is referenced by an alias")
        function["versions"].pop(number, None)

    # CloudFormation

    def deploy(self, name, template, overrides, codes):
        """Creates or updates a stack, which is rolled back if that fails. `codes` maps binaries to keys of
        the bucket."""
        # Imported here, because it takes seconds to load and the stub `aws` doesn't need it.
        from cloudformation import Refused, Stack, expand

        before = self.stacks.get(name)
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
        if before and before["StackStatus"] == "ROLLBACK_COMPLETE":
            raise Rejected("ValidationError", f"{name} is in ROLLBACK_COMPLETE state and can not be updated.")
        parameters = (before["parameters"] if before else {}) | overrides
        try:
            stack = Stack(expand(template, parameters, codes), name, parameters)
            resources = stack.declared
            after = {"parameters": stack.parameters, "codes": codes, "resources": {}, "routes": (before or {}).get("routes", []),
                     "CreationTime": before["CreationTime"] if before else now(), "LastUpdatedTime": now()}
            for key in in_order(resources):
                properties = stack.resolve(resources[key].get("Properties", {}))
                old = before and before["resources"].get(key)
                made = {"Type": resources[key]["Type"], "Properties": properties,
                        **{it: resources[key].get(it) for it in ("DeletionPolicy", "UpdateReplacePolicy")}}
                after["resources"][key] = made
                self.make(stack, after, made, old, "UpdatePolicy" in resources[key])
                if made["Type"] == "AWS::Lambda::Version":
                    stack.published[key] = made["Number"]
        except (Rejected, Refused) as error:
            self.calls.append(f"failed: {error}")
            self.revert(name, before, after["resources"])
            raise Rejected("CloudFormation", str(error)) from error
        self.stacks[name] = after | {"StackStatus": "UPDATE_COMPLETE" if before else "CREATE_COMPLETE",
                                     "Outputs": stack.outputs()}
        for key, gone in (before or after)["resources"].items():
            kept = after["resources"].get(key)
            if gone["Type"] == "AWS::Lambda::Version" and (not kept or kept["Number"] != gone["Number"]):
                # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatereplacepolicy.html
                if gone["UpdateReplacePolicy" if kept else "DeletionPolicy"] != "Retain":
                    self.delete_version(gone["Properties"]["FunctionName"], gone["Number"])
            elif not kept:
                self.remove(gone)

    def make(self, stack, after, made, old, by_canary):
        """Creates, updates or replaces a resource, or leaves it."""
        kind, properties = made["Type"], made["Properties"]
        if kind == "AWS::ApiGatewayV2::Stage":
            self.make_stage(stack, after, properties)
        if old and old["Properties"] == properties:
            made |= {"Number": old.get("Number")}
        elif kind == "AWS::Lambda::Function":
            self.make_function(properties, old)
        elif kind == "AWS::Lambda::Version":
            from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-central-1", kind).schema
            changed = {key for key in properties if old and properties[key] != old["Properties"].get(key)}
            assert changed <= {path.split("/")[2] for path in schema["createOnlyProperties"]}, "can't be updated"
            made["Number"] = self.publish(properties["FunctionName"], properties.get("Description"))
        elif kind == "AWS::Lambda::Alias":
            self.make_alias(properties, old, by_canary)
        elif kind == "Custom::Migration":
            self.invoke(properties["ServiceToken"].rpartition(":")[2])

    def make_stage(self, stack, after, properties):
        (api,) = stack.of_type("AWS::ApiGatewayV2::Api").values()
        routes = {f"{method.upper()} {path}" for path, methods in api["Body"]["paths"].items() for method in methods}
        # A stage keeps the settings of a route that is removed:
        # https://github.com/aws/serverless-application-model/issues/1939
        after["routes"] = sorted({*after["routes"], *properties.get("RouteSettings", {})})
        if missing := set(after["routes"]) - routes:
            raise Rejected("NotFoundException", f"Unable to find Route by key {missing} within the provided RouteSettings")

    def make_function(self, properties, old):
        name, settings = properties["FunctionName"], settings_of(properties)
        if reserved := int(properties.get("ReservedConcurrentExecutions", 0)):
            # https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
            if self.limit - reserved < 10:
                raise Rejected("InvalidRequest", "decreases account's UnreservedConcurrentExecution below its minimum value")
        if not old:
            if name in self.functions:
                raise Rejected("AlreadyExists", f"Function already exists: {name}")
            self.functions[name] = {"latest": settings, "versions": {}, "number": 0, "live": None}
            return
        # It compares with what it last deployed, not with what is there.
        latest, known = self.functions[name]["latest"], settings_of(old["Properties"])
        for key in settings.keys() | known.keys():
            if settings.get(key) != known.get(key):
                latest[key] = settings.get(key)

    def make_alias(self, properties, old, by_canary):
        name, version = properties["FunctionName"], properties["FunctionVersion"]
        function = self.functions[name]
        if old and by_canary:
            known = old["Properties"]["FunctionVersion"]
            # CurrentVersion in the AppSpec is "the version to which the alias currently points":
            # https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-resources.html
            if function["live"] != known:
                raise Rejected("CodeDeploy", "alias version does not match the current version in AppSpec")
            self.calls.append(f"canary {name} {known} -> {version}")
            if "ALARMING" in self.bucket[function["versions"][version]["Code"]]:
                raise Rejected("CodeDeploy", f"{name}-errors went off")
        function["live"] = version

    def invoke(self, name):
        self.calls.append(f"invoke {name}")
        if "BROKEN" in self.bucket[self.functions[name]["latest"]["Code"]]:
            raise Rejected("CustomResource", f"{name} is broken")

    def revert(self, name, before, made):
        """Restores a stack as it was, or leaves an empty one that can only be deleted. Versions are retained,
        even those that the deployment has made."""
        if not before:
            for resource in made.values():
                self.remove(resource)
            self.stacks[name] = {"StackStatus": "ROLLBACK_COMPLETE", "resources": {}, "CreationTime": now()}
            return
        before |= {"StackStatus": "UPDATE_ROLLBACK_COMPLETE", "LastUpdatedTime": now()}
        for key, it in made.items():
            old = before["resources"].get(key)
            if it["Type"] == "AWS::Lambda::Function" and old:
                self.make_function(old["Properties"], it)
            elif it["Type"] == "AWS::Lambda::Alias" and old and it["Properties"] != old["Properties"]:
                self.functions[old["Properties"]["FunctionName"]]["live"] = old["Properties"]["FunctionVersion"]

    def remove(self, resource):
        if resource["Type"] == "AWS::Lambda::Function":
            self.functions.pop(resource["Properties"]["FunctionName"], None)

    def delete(self, name):
        for resource in self.stacks.pop(name)["resources"].values():
            self.remove(resource)


def settings_of(properties):
    """Returns what a version of the function is a copy of."""
    apart = ("Code", "FunctionName", "ReservedConcurrentExecutions", "Tags")
    settings = {key: value for key, value in properties.items() if key not in apart}
    return settings | {"Code": properties["Code"]["S3Key"]}
