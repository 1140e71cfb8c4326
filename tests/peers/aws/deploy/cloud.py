"""Simulates what a deployment uses of Lambda, CloudWatch alarms and CloudFormation, as AWS documents it.

The state is in a file, because each call of the stubs `aws` and `sam` is a process of its own.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import re
import sys
import time
import zipfile
from pathlib import Path

ACCOUNT, REGION = "123456789012", "eu-central-1"
ABSENT = object()


class Refused(Exception):
    """A call that AWS would reject: (code, message)."""


def create_only(kind):
    """Returns the properties that can't be changed without replacing the resource, from CloudFormation's
    registry."""
    if kind.startswith("Custom::"):
        return {"ServiceToken"}
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    return {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}


class Resolver:
    """Evaluates conditions and intrinsic functions. `attributes` are the return values of the resources
    created so far."""

    def __init__(self, template, stack, parameters, attributes):
        self.template, self.stack, self.parameters, self.attributes = template, stack, parameters, attributes

    def condition(self, name):
        return self.value(self.template["Conditions"][name])

    def ref(self, name):
        pseudo = {"AWS::AccountId": ACCOUNT, "AWS::NoValue": ABSENT, "AWS::Partition": "aws", "AWS::Region": REGION,
                  "AWS::StackName": self.stack, "AWS::URLSuffix": "amazonaws.com"}
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            is_list = self.template["Parameters"][name]["Type"] in ("CommaDelimitedList", "List<String>")
            return self.parameters[name].split(",") if is_list else self.parameters[name]
        return self.attributes[name]["Ref"]

    def attribute(self, name, attribute):
        return self.attributes[name].get(attribute) or f"arn:aws:{name.lower()}:{REGION}:{ACCOUNT}:{attribute}"

    def text(self, argument):
        text, local = argument if isinstance(argument, list) else (argument, {})

        def one(match):
            name = match.group(1)
            if name in local:
                return str(self.value(local[name]))
            return str(self.attribute(*name.split(".")) if "." in name else self.ref(name))

        return re.sub(r"\$\{([\w:.]+)\}", one, text)

    def value(self, value):
        if isinstance(value, list):
            return [found for found in map(self.value, value) if found is not ABSENT]
        if not isinstance(value, dict):
            return value
        if len(value) != 1 or not (next(iter(value)) in ("Ref", "Condition") or next(iter(value)).startswith("Fn::")):
            found = {key: self.value(inner) for key, inner in value.items()}
            return {key: inner for key, inner in found.items() if inner is not ABSENT}
        (function, argument), = value.items()
        evaluate = {
            "Ref": self.ref,
            "Condition": self.condition,
            "Fn::GetAtt": lambda it: self.attribute(*(it.split(".") if isinstance(it, str) else it)),
            "Fn::Sub": self.text,
            "Fn::If": lambda it: self.value(it[1] if self.condition(it[0]) else it[2]),
            "Fn::Equals": lambda it: str(self.value(it[0])) == str(self.value(it[1])),
            "Fn::Not": lambda it: not self.value(it[0]),
            "Fn::Or": lambda it: any(map(self.value, it)),
            "Fn::And": lambda it: all(map(self.value, it)),
            "Fn::Join": lambda it: it[0].join(map(str, self.value(it[1]))),
            "Fn::Split": lambda it: self.value(it[1]).split(it[0]),
            "Fn::Select": lambda it: self.value(it[1])[int(it[0])],
        }
        return evaluate[function](argument)


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


class Cloud:
    KEPT = ("functions", "alarms", "stacks", "secrets", "code", "calls")

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.exists():
            self.path.write_text(json.dumps({name: [] if name == "calls" else {} for name in self.KEPT}))

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
                json.dump({name: getattr(self, name) for name in self.KEPT}, file)

    # Lambda

    def upload(self, archive):
        """Stores a deployment package and returns its CodeSha256."""
        with zipfile.ZipFile(archive) as opened:
            entry = opened.getinfo("bootstrap")
            if not entry.external_attr >> 16 & 0o100:
                raise Refused("Runtime.InvalidEntrypoint", "fork/exec /var/task/bootstrap: permission denied")
            program = opened.read("bootstrap").decode()
        digest = base64.b64encode(hashlib.sha256(Path(archive).read_bytes()).digest()).decode()
        self.code[digest] = program
        return digest

    def function(self, name):
        if name not in self.functions:
            raise Refused("ResourceNotFoundException", f"Function not found: {name}")
        return self.functions[name]

    def version(self, name, qualifier):
        function = self.function(name)
        if qualifier == "live":
            qualifier = function["alias"]["FunctionVersion"]
        if qualifier == "$LATEST":
            return function["latest"]
        if qualifier not in function["versions"]:
            raise Refused("ResourceNotFoundException", f"Function not found: {name}:{qualifier}")
        return function["versions"][qualifier]

    def publish(self, name, description=None):
        """Returns the number of the version, and whether it is new: Lambda doesn't publish the same twice in
        a row."""
        function = self.function(name)
        if function["published"] == function["latest"]:
            return str(len(function["versions"])), False
        number = str(len(function["versions"]) + 1)
        function["published"] = dict(function["latest"])
        function["versions"][number] = function["latest"] | ({"Description": description} if description else {})
        return number, True

    def invoke(self, name, qualifier):
        """Returns the error of an invocation, if it fails. It fails if the program contains the word
        BROKEN."""
        self.calls.append(f"invoke {name}")
        program = self.code[self.version(name, qualifier)["CodeSha256"]]
        return f"{name} is broken" if "BROKEN" in program else None

    def update_alias(self, name, version, weights, description=None, revision=None):
        alias = self.function(name)["alias"]
        if revision not in (None, alias["RevisionId"]):
            raise Refused("PreconditionFailedException", "The RevisionId provided does not match the latest one.")
        for number in (version, *weights):
            self.version(name, number)
        alias |= {"FunctionVersion": version, "Weights": weights, "RevisionId": str(int(alias["RevisionId"]) + 1)}
        if description is not None:
            alias["Description"] = description
        for number in weights:
            if "ALARMING" in self.code[self.version(name, number)["CodeSha256"]]:
                stack = next(stack for stack in self.stacks if name.startswith(f"{stack}-"))
                self.set_alarm(f"{stack}-errors", "ALARM")
        return alias["RevisionId"]

    def serving(self, name):
        """Returns the version that the alias serves. Fails if its traffic is split between two."""
        alias = self.function(name)["alias"]
        assert alias["Weights"] == {}, f"the traffic of {name} is split: {alias}"
        return self.version(name, "live")

    # CloudWatch

    def set_alarm(self, name, state):
        alarm = self.alarms[name]
        if alarm["state"] != state:
            alarm["history"].append([time.time(), f"Alarm updated from {alarm['state']} to {state}"])
            alarm["state"] = state

    # CloudFormation

    def deploy(self, stack, template, overrides):
        """Creates or updates a stack. If that fails, it is rolled back. `template` is what `sam deploy` has
        packaged."""
        # Imported here, because each takes a second to load and the stub `aws` needs none of them.
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sam"))
        from expand import Policies
        from samtranslator.translator.transform import transform
        from samtranslator.yaml_helper import yaml_parse

        document = yaml_parse(template)
        before = self.stacks.get(stack)
        parameters = {}
        for name, parameter in document["Parameters"].items():
            if name in overrides:
                parameters[name] = overrides[name]
            elif before and name in before["parameters"]:
                parameters[name] = before["parameters"][name]
            elif "Default" in parameter:
                parameters[name] = str(parameter["Default"])
            else:
                raise Refused("ValidationError", f"Parameters: [{name}] must have values")
            pattern, allowed = parameter.get("AllowedPattern"), parameter.get("AllowedValues")
            if pattern and not re.fullmatch(pattern, parameters[name]):
                raise Refused("ValidationError", f"Parameter {name} failed to satisfy constraint")
            if allowed and parameters[name] not in map(str, allowed):
                raise Refused("ValidationError", f"Parameter {name} failed to satisfy constraint")
        expanded = transform(document, dict(parameters), Policies())
        after = {"parameters": parameters, "resources": {}, "outputs": {}}
        resolver = Resolver(expanded, stack, parameters, {})
        names = {name for name, it in expanded["Resources"].items()
                 if "Condition" not in it or resolver.condition(it["Condition"])}
        self.stacks.setdefault(stack, after)
        try:
            for name in in_order(expanded["Resources"], names):
                resource = expanded["Resources"][name]
                properties = resolver.value(resource.get("Properties", {}))
                old = before and before["resources"].get(name)
                made = self.make(stack, name, resource["Type"], properties, old, "UpdatePolicy" in resource)
                after["resources"][name] = {"Type": resource["Type"], "Properties": properties, "Attributes": made}
                resolver.attributes[name] = made
        except Refused as error:
            self.revert(stack, before, after)
            raise error
        outputs = expanded.get("Outputs", {}).items()
        after["outputs"] = {name: resolver.value(it["Value"]) for name, it in outputs if "Condition" not in it}
        self.stacks[stack] = after
        for name, gone in (before or {"resources": {}})["resources"].items():
            if name not in after["resources"]:
                self.remove(gone)
        return after

    def make(self, stack, name, kind, properties, old, by_canary):
        """Creates, updates or replaces a resource, or leaves it. Returns the values for Ref and GetAtt."""
        if old and old["Properties"] == properties:
            return old["Attributes"]
        changed = old and {key for key in properties.keys() | old["Properties"].keys()
                           if properties.get(key) != old["Properties"].get(key)}
        replaced = bool(old and changed & create_only(kind))
        if kind == "AWS::Lambda::Function":
            return self.make_function(properties, old if not replaced else None)
        if kind == "AWS::Lambda::Version":
            if old and not replaced:
                raise Refused("NotUpdatable", f"{name}: Resource type does not support update")
            number, is_new = self.publish(properties["FunctionName"], properties.get("Description"))
            if not is_new:
                raise Refused("AlreadyExists", f"Version already exists: {properties['FunctionName']}:{number}. Please "
                                               "modify the function to create a new version.")
            return {"Ref": f"{properties['FunctionName']}:{number}", "Version": number}
        if kind == "AWS::Lambda::Alias":
            return self.make_alias(properties, old, by_canary)
        if kind == "Custom::Migration":
            error = self.invoke(properties["ServiceToken"].rpartition(":")[2], "$LATEST")
            if error:
                raise Refused("CustomResource", error)
            return {"Ref": name}
        if kind == "AWS::CloudWatch::Alarm":
            self.alarms.setdefault(properties["AlarmName"], {"state": "OK", "history": []})
            return {"Ref": properties["AlarmName"]}
        return {"Ref": f"{stack}-{name}"}

    def make_function(self, properties, old):
        name = properties["FunctionName"]
        code = properties["Code"]["S3Key"]
        settings = settings_of(properties)
        if not old:
            if name in self.functions:
                raise Refused("AlreadyExists", f"Function already exists: {name}")
            latest = settings | {"CodeSha256": code}
            self.functions[name] = {"latest": latest, "versions": {}, "published": None, "alias": None}
            return {"Ref": name, "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"}
        latest = self.function(name)["latest"]
        # It compares with what it last deployed, not with what is there.
        if code != old["Properties"]["Code"]["S3Key"]:
            latest["CodeSha256"] = code
        known = settings_of(old["Properties"])
        for key in settings.keys() | known.keys():
            if key not in settings:
                latest.pop(key, None)
            elif settings[key] != known.get(key):
                latest[key] = settings[key]
        return old["Attributes"]

    def make_alias(self, properties, old, by_canary):
        name, version = properties["FunctionName"], properties["FunctionVersion"]
        function = self.function(name)
        if not old:
            function["alias"] = {"FunctionVersion": version, "Weights": {}, "RevisionId": "1", "Description": ""}
        elif by_canary:
            if function["alias"]["Weights"]:
                raise Refused("CodeDeploy", f"the alias of {name} references two versions")
            known = old["Properties"]["FunctionVersion"]
            self.calls.append(f"canary {name} {known} -> {version}")
            self.update_alias(name, known, {version: 0.1})
            alarm = next((alarm for alarm in self.alarms if self.alarms[alarm]["state"] == "ALARM"), None)
            self.update_alias(name, known if alarm else version, {})
            if alarm:
                raise Refused("CodeDeploy", f"{alarm} went off")
        else:
            self.update_alias(name, version, {})
        return {"Ref": f"{name}:live"}

    def revert(self, stack, before, after):
        """Restores the stack as it was before. Deletes a stack that did not exist before."""
        if not before:
            del self.stacks[stack]
            for made in after["resources"].values():
                self.remove(made)
            return
        for name, made in after["resources"].items():
            old = before["resources"].get(name)
            if not old:
                if made["Type"] != "AWS::Lambda::Version":
                    self.remove(made)
            elif made["Type"] == "AWS::Lambda::Function":
                self.make_function(old["Properties"], made)
            elif made["Type"] == "AWS::Lambda::Alias" and made["Properties"] != old["Properties"]:
                self.update_alias(old["Properties"]["FunctionName"], old["Properties"]["FunctionVersion"], {})

    def remove(self, resource):
        properties = resource["Properties"]
        if resource["Type"] == "AWS::Lambda::Function":
            self.functions.pop(properties["FunctionName"], None)
        elif resource["Type"] == "AWS::CloudWatch::Alarm":
            self.alarms.pop(properties["AlarmName"], None)

    def delete(self, stack):
        for resource in self.stacks.pop(stack)["resources"].values():
            self.remove(resource)


def settings_of(properties):
    """Returns the settings that a version of the function has, without its code."""
    apart = ("Code", "FunctionName", "ReservedConcurrentExecutions", "Tags")
    return {key: value for key, value in properties.items() if key not in apart}


def in_order(resources, names):
    """Returns the names, each after those that it refers to or depends on."""
    done = []

    def visit(name, path):
        assert name not in path, f"a circle: {[*path, name]}"
        if name in done or name not in names:
            return
        resource = resources[name]
        depends = resource.get("DependsOn", [])
        depends = {depends} if isinstance(depends, str) else set(depends)
        for other in sorted(referenced(resource.get("Properties", {})) | depends):
            visit(other, [*path, name])
        done.append(name)

    for name in resources:
        visit(name, [])
    return done
