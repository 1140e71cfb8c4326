"""Checks that every deployment puts into service what was requested.

SAM's expansion is deployed to a model of CloudFormation and Lambda that handles versions as documented.
"""

import re
import sys
import unittest
from pathlib import Path

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from cloudformation import Stack, arn
from counted import run
from expand import PARAMETERS, SECRET, expand

TEMPLATE = (Path(__file__).resolve().parents[4] / "template.yaml").read_text()

# Another value for each parameter.
OTHERS = {
    "SecretArn": f"{SECRET}-new-MnOpQr", "MigrationSecretArn": f"{SECRET}-migrate-new-StUvWx", "LogLevel": "debug",
    "CorsAllowedOrigins": "https://app.example.com", "EnvironmentName": "staging", "Release": "0123456789ab",
    "Architecture": "x86_64", "MemorySize": "256", "DatabasePoolSize": "4", "EndpointConcurrency": "20",
    "ReserveConcurrency": "false", "LogRetentionDays": "90", "LogDeletionPolicy": "Retain", "ThrottlingRate": "50",
    "ThrottlingBurst": "60", "ServeDocs": "false", "Tracing": "Active", "CanaryDeployments": "false",
    "AlarmThreshold": "10", "AlarmPercent": "50", "LatencyAlarmMilliseconds": "500",
    "AlarmTopicArn": arn("sns", "alarms"), "PermissionsBoundaryArn": arn("iam", "policy/task-api-ci/boundary", ""),
}

# "Update requires: Replacement"
REPLACED_WITH = [path.removeprefix("/properties/") for path in PROVIDER_SCHEMA_MANAGER.get_resource_schema(
    "us-east-1", "AWS::Lambda::Version").schema["createOnlyProperties"]]

# Not part of a version: these belong to the function.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
UNVERSIONED = {"FunctionName", "ReservedConcurrentExecutions", "Tags"}


class AlreadyExists(Exception):
    pass


class Function:
    """A Lambda function: $LATEST, the versions, and the version of the alias `live`."""

    def __init__(self):
        self.latest, self.versions, self.live = None, [], None

    def publish(self, description):
        # "Lambda doesn't publish a version if the function's configuration and code haven't changed since the
        # last version." https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html. To
        # CloudFormation, an error.
        if self.versions and self.versions[-1] == self.latest:
            raise AlreadyExists(f"A version for this Lambda function exists ( {len(self.versions)} )")
        # "to override the description in the function configuration"
        self.versions.append(self.latest | ({"Description": description} if description else {}))
        return len(self.versions)


class Account:
    """What CloudFormation has deployed last, and the actual functions."""

    def __init__(self):
        self.functions, self.requested, self.published = {}, {}, {}

    def deploy(self, template=TEMPLATE, codes={}, **parameters):
        parameters = PARAMETERS | parameters
        stack = Stack(expand(template, parameters, codes), "task-api-prod", parameters)
        declared = stack.of_type("AWS::Lambda::Function")
        for key in set(self.functions) - set(declared):
            # Its versions are deleted with it.
            del self.functions[key], self.requested[key]
        functions = {}
        for key, properties in declared.items():
            functions[properties["FunctionName"]] = function = self.functions.setdefault(key, Function())
            versioned = {name: value for name, value in properties.items() if name not in UNVERSIONED}
            # CloudFormation compares the template with what it last deployed, not with the actual function.
            if self.requested.get(key) != versioned:
                self.requested[key] = function.latest = versioned
        published = {}
        for key, properties in stack.of_type("AWS::Lambda::Version").items():
            identity = (key, *(str(properties.get(name)) for name in REPLACED_WITH))
            published[key] = identity, self.published.get(key, (None, None))[1]
            if identity != self.published.get(key, (None, None))[0]:
                number = functions[properties["FunctionName"]].publish(properties.get("Description"))
                published[key] = identity, number
        self.published = published
        for key, properties in stack.of_type("AWS::Lambda::Alias").items():
            version, _ = stack.template["Resources"][key]["Properties"]["FunctionVersion"]["Fn::GetAtt"]
            functions[properties["FunctionName"]].live = published[version][1]

    def in_service(self):
        return {key: self.functions[key].versions[self.functions[key].live - 1] for key in self.requested}

    def numbers(self):
        return {key: function.live for key, function in self.functions.items()}


class Versions(unittest.TestCase):
    maxDiff = None

    def assert_in_service(self, account):
        self.assertEqual(account.in_service(), account.requested)

    def test_a_changed_value_of_any_parameter_is_put_into_service(self):
        for name, value in OTHERS.items():
            with self.subTest(name):
                account = Account()
                account.deploy()
                account.deploy(**{name: value})
                self.assert_in_service(account)
                account.deploy()
                self.assert_in_service(account)

    def test_the_test_above_has_another_value_of_every_parameter(self):
        self.assertEqual(set(OTHERS), set(expand(TEMPLATE)["Parameters"]))

    def test_new_code_is_put_into_service_only_in_its_own_functions(self):
        account = Account()
        account.deploy()
        account.deploy(codes={"health": "new"})
        self.assert_in_service(account)
        changed = {key for key, number in account.numbers().items() if number != 1}
        self.assertEqual(changed, {"HealthFunction", "HealthReadyFunction"})

    def test_settings_that_versions_do_not_have_publish_no_version(self):
        account = Account()
        account.deploy()
        before = account.numbers()
        tagged = TEMPLATE.replace("Globals:\n  Function:\n", "Globals:\n  Function:\n    Tags: { team: tasks }\n")
        reserved = re.sub(r"HasReservedConcurrency, 1,", "HasReservedConcurrency, 2,", TEMPLATE)
        for template in (tagged, reserved):
            self.assertNotEqual(template, TEMPLATE)
            account.deploy(template)
            self.assert_in_service(account)
        account.deploy(EndpointConcurrency="20", ReserveConcurrency="false")
        self.assertEqual(account.numbers(), before)

    def test_a_versions_description_contains_every_setting_of_a_version(self):
        # So a change of any of these values changes the description, which makes CloudFormation replace the
        # version. For code and the text of Environment, SAM publishes a version anyway, and a function's role
        # never changes.
        for parameters in ({}, OTHERS | {"ServeDocs": "true"}):
            account = Account()
            account.deploy(**parameters)
            for key, properties in account.requested.items():
                words = properties["Description"].split()
                kept = {name: value for name, value in properties.items()
                        if name not in ("Code", "Description", "Environment", "Role")}
                for name, value in kept.items():
                    for leaf in leaves(value):
                        self.assertIn(str(leaf), words, f"{key}.{name}")

    def test_roles_are_never_replaced(self):
        for key, role in Stack(expand(TEMPLATE), "task-api-prod", PARAMETERS).of_type("AWS::IAM::Role").items():
            self.assertEqual({"Path", "RoleName"} & set(role), set(), key)

    def test_a_description_is_never_too_long(self):
        patterns = {name: it["AllowedPattern"] for name, it in expand(TEMPLATE)["Parameters"].items()
                    if "AllowedPattern" in it}
        longest = OTHERS | {
            "Release": "r" * 16, "EnvironmentName": "e" * 16, "LogLevel": "error", "MemorySize": "1024",
            "DatabasePoolSize": "100", "Tracing": "Disabled",
            "MigrationSecretArn": arn("secretsmanager", f"secret:{'s' * 40}-AbCdEf"),
        }
        for name in ("Release", "EnvironmentName", "MigrationSecretArn"):
            self.assertTrue(re.fullmatch(patterns[name], longest[name]), name)
            last = -7 if name.endswith("Arn") else None
            longer = longest[name][:last] + "x" + (longest[name][last:] if last else "")
            self.assertFalse(re.fullmatch(patterns[name], longer), name)
        # The name of a function has at most 64 characters.
        names = [it["Properties"]["FunctionName"]["Fn::Sub"].removeprefix("${AWS::StackName}")
                 for it in expand(TEMPLATE)["Resources"].values() if it["Type"] == "AWS::Lambda::Function"]
        stack = Stack(expand(TEMPLATE, longest), "n" * (64 - max(map(len, names))), longest)
        for version in stack.of_type("AWS::Lambda::Version").values():
            self.assertLessEqual(len(version["Description"]), 256)

    def test_a_release_deploys_over_functions_that_were_published_without_cloudformation(self):
        account = Account()
        account.deploy(Release="1")
        # Does what deploy/functions.sh does.
        function = account.functions["GetTaskFunction"]
        function.latest = function.latest | {"Code": {"S3Bucket": "artifacts", "S3Key": "new"}}
        function.live = function.publish(None)
        self.assertEqual(function.live, 2)
        codes = {"get-task": "new"}
        account.deploy(codes=codes, Release="2")
        self.assert_in_service(account)
        # Also if newer code was published meanwhile, and the code is again what CloudFormation last deployed.
        function.latest = function.latest | {"Code": {"S3Bucket": "artifacts", "S3Key": "newer"}}
        function.live = function.publish(None)
        account.deploy(codes=codes, Release="3")
        self.assert_in_service(account)

    def test_a_deployment_without_changes_publishes_nothing(self):
        account = Account()
        account.deploy(Release="1")
        before = account.numbers()
        account.deploy(Release="1")
        self.assertEqual(account.numbers(), before)


def leaves(value):
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


if __name__ == "__main__":
    run(sys.modules["__main__"])
