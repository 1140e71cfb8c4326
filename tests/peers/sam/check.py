"""What can be said of a deployment without making one. Run by run.sh with the tools' Python; unittest's counts are its own.

The expansion is held against docs/contracts.md, and each check is shown to bite on a copy of the template with a mistake.
"""

import json
import re
import subprocess
import sys
import unittest
from pathlib import Path

from expand import PARAMETERS, expand
from samtranslator.yaml_helper import yaml_parse

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TEMPLATE = (ROOT / "template.yaml").read_text()
sys.path.insert(0, str(ROOT / "deploy"))

import changed  # noqa: E402

METADATA = changed.workspace()


def documented():
    """Route -> package, from the table of docs/contracts.md. A row is a function and its routes between backquotes."""
    routes = {}
    for line in (ROOT / "docs/contracts.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for route in re.findall(r"`([A-Z]+ /[^`]*)`", line):
            if line.startswith("| ") and re.fullmatch(r"[a-z-]+", cells[0]):
                routes[route] = cells[0]
    return routes


def by_type(expansion, kind):
    return {name: it["Properties"] for name, it in expansion["Resources"].items() if it["Type"] == kind}


def routes(expansion):
    """Route -> package, as API Gateway is told: through the alias of a function to its code."""
    found = {}
    (api,) = by_type(expansion, "AWS::ApiGatewayV2::Api").values()
    for path, methods in api["Body"]["paths"].items():
        for method, operation in methods.items():
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            alias = re.search(r"functions/\$\{(\w+)\}/invocations", uri).group(1)
            function = expansion["Resources"][alias]["Properties"]["FunctionName"]["Ref"]
            found[f"{method.upper()} {path}"] = expansion["Resources"][function]["Properties"]["Code"]["S3Key"]
    return found


def permitted(expansion):
    """(alias, route with * for parameters) that API Gateway may invoke."""
    found = set()
    for permission in by_type(expansion, "AWS::Lambda::Permission").values():
        assert permission["Principal"] == "apigateway.amazonaws.com", permission
        arn = permission["SourceArn"]["Fn::Sub"][0]
        method, _, path = arn.split("${__Stage__}/")[1].partition("/")
        found.add((permission["FunctionName"]["Ref"], f"{method} /{path}"))
    return found


def needed(expansion):
    found = set()
    (api,) = by_type(expansion, "AWS::ApiGatewayV2::Api").values()
    for path, methods in api["Body"]["paths"].items():
        for method, operation in methods.items():
            alias = re.search(r"\{(\w+Aliaslive)\}", operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"])
            found.add((alias.group(1), f"{method.upper()} {re.sub(r'{[^}]*}', '*', path)}"))
    return found


def statements(expansion):
    """(where, statement) of every policy that is written out."""
    for kind in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
        for name, properties in by_type(expansion, kind).items():
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
            for document in documents:
                for statement in document["Statement"]:
                    condition = statement.get("Fn::If")
                    yield name, condition[1] if condition else statement


def listed(value):
    return value if isinstance(value, list) else [value]


def secrets_read(expansion):
    """Packages whose function may read a secret, and whether it is the one of the parameter."""
    found = {}
    for function in by_type(expansion, "AWS::Lambda::Function").values():
        role = function["Role"]["Fn::GetAtt"][0]
        for name, statement in statements(expansion):
            if name == role:
                assert listed(statement["Action"]) == ["secretsmanager:GetSecretValue"], statement
                assert statement["Resource"]["Fn::Sub"][1] == {"secretArn": {"Ref": "SecretArn"}}, statement
                found[function["FunctionName"]["Fn::Sub"].split("}-")[1]] = True
    return set(found)


def names(expansion):
    functions = by_type(expansion, "AWS::Lambda::Function").values()
    return {function["FunctionName"]["Fn::Sub"].removeprefix("${AWS::StackName}-") for function in functions}


# For logs, and for X-Ray where tracing is on. The boundary leaves little of them.
MANAGED_POLICIES = {
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
}


def attached(expansion):
    """AWS's own policies that the functions' roles have."""
    roles = {function["Role"]["Fn::GetAtt"][0] for function in by_type(expansion, "AWS::Lambda::Function").values()}
    return {policy for role in roles for policy in expansion["Resources"][role]["Properties"]["ManagedPolicyArns"]}


def misplaced(template):
    """Functions whose folder or name is not that of their package. Two that one package makes begin alike."""
    found = []
    for name, resource in yaml_parse(template)["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            properties, package = resource["Properties"], resource["Metadata"]["BuildProperties"]["Binary"]
            named = properties["FunctionName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
            folder = properties["CodeUri"] == f"functions/{package}"
            if not folder or not f"{named}-".startswith(f"{package}-"):
                found.append(name)
    return found


def refused(expansion):
    """What is wrong with an expansion, in a word each."""
    faults = []
    if not attached(expansion) <= MANAGED_POLICIES:
        faults.append("managed policies")
    if routes(expansion) != documented():
        faults.append("routes")
    if permitted(expansion) != needed(expansion):
        faults.append("permissions to invoke")
    if secrets_read(expansion) != names(expansion) - {"health", "docs"}:
        faults.append("permissions to read the secret")
    return faults


# AWS offers nothing narrower: these two know no resources.
WITHOUT_RESOURCE = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


class Expansion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.expansion = expand(TEMPLATE)

    def functions(self):
        return by_type(self.expansion, "AWS::Lambda::Function")

    def test_has_the_routes_of_the_contracts_each_to_its_own_function_that_may_be_invoked(self):
        self.assertGreater(len(documented()), 15)
        self.assertEqual(routes(self.expansion), documented())
        self.assertEqual(permitted(self.expansion), needed(self.expansion))
        self.assertEqual(refused(self.expansion), [])

    def test_a_mistake_is_found(self):
        secret = "      Policies: [{ AWSSecretsManagerGetSecretValuePolicy: { SecretArn: !Ref SecretArn } }]\n"
        for right, wrong, fault in [
            ('Method: POST, Path: "/api/{user_id}/tasks" }', 'Method: POST, Path: "/api/{user_id}/task" }', "routes"),
            ('Method: POST, Path: "/api', 'Method: PSOT, Path: "/api', "routes"),
            ('Method: PATCH, Path: "/plain', 'Method: PUT, Path: "/plain', "routes"),
            ("Binary: get-task\n", "Binary: list-tasks\n", "routes"),
            ("Path: \"/api/{user_id}/tasks/{task_id}\"", "Path: \"/api/{user_id}/tasks/{id}\"", "routes"),
            (secret, "", "permissions to read the secret"),
            ("Policies: [", "Policies: [arn:aws:iam::aws:policy/AdministratorAccess, ", "managed policies"),
        ]:
            self.assertIn(right, TEMPLATE)
            with self.subTest(wrong):
                self.assertEqual(refused(expand(TEMPLATE.replace(right, wrong, 1))), [fault])
        for right, wrong in [
            ("CodeUri: functions/get-task", "CodeUri: functions/list-tasks"),
            ("StackName}-get-task", "StackName}-get-tasks"),
            ("Binary: get-task", "Binary: list-tasks"),
        ]:
            self.assertIn(right, TEMPLATE)
            self.assertEqual(misplaced(TEMPLATE.replace(right, wrong, 1)), ["GetTaskFunction"])
        # A misspelt key is nothing that lint minds; it is no route either.
        with self.assertRaises(Exception):
            self.assertEqual(refused(expand(TEMPLATE.replace("Method: DELETE", "Methood: DELETE", 1))), [])
        # What SAM makes of an event is two things; one without the other is found as well.
        expansion = expand(TEMPLATE)
        del expansion["Resources"]["GetTaskFunctionPlainPermission"]
        self.assertEqual(refused(expansion), ["permissions to invoke"])

    def test_every_function_is_made_from_the_folder_of_its_package_and_named_after_it(self):
        self.assertEqual(misplaced(TEMPLATE), [])

    def test_policies_name_no_star(self):
        seen = 0
        for name, statement in statements(self.expansion):
            seen += 1
            actions = set(listed(statement["Action"]))
            self.assertFalse([action for action in actions if "*" in action], name)
            if not actions <= WITHOUT_RESOURCE:
                for resource in listed(statement["Resource"]):
                    # Streams come and go within their group.
                    self.assertNotIn("*", json.dumps(resource).replace(":log-stream:*", ""), name)
        self.assertGreater(seen, 8)

    def test_every_function_has_a_role_of_its_own_within_the_boundary(self):
        roles = [function["Role"]["Fn::GetAtt"][0] for function in self.functions().values()]
        self.assertEqual(len(roles), len(set(roles)))
        for role in roles:
            properties = self.expansion["Resources"][role]["Properties"]
            self.assertEqual(properties["PermissionsBoundary"], {"Ref": "FunctionBoundary"})
        boundary = [statement for name, statement in statements(self.expansion) if name == "FunctionBoundary"]
        allowed = {action for statement in boundary for action in listed(statement["Action"])}
        self.assertEqual(
            allowed - WITHOUT_RESOURCE,
            {"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue"},
        )

    def test_no_secret_stands_in_a_functions_environment(self):
        for name, function in self.functions().items():
            variables = function["Environment"]["Variables"]
            self.assertEqual((variables["DATABASE_URL"], variables["JWT_SECRET"]), ("", ""), name)

    def test_functions_log_to_a_group_with_retention_and_end_before_the_gateway_gives_up(self):
        for name, function in self.functions().items():
            self.assertEqual(function["LoggingConfig"]["LogGroup"], {"Ref": "FunctionLogs"}, name)
            self.assertTrue(function["Timeout"] < 30 or name == "MigrateFunction", name)
        for name, group in by_type(self.expansion, "AWS::Logs::LogGroup").items():
            self.assertIn("RetentionInDays", group, name)

    def test_endpoints_wait_for_the_migration_and_are_deployed_by_canary(self):
        for name, resource in self.expansion["Resources"].items():
            if resource["Type"] == "AWS::Lambda::Function":
                public = resource["Properties"]["Environment"]["Variables"]["SECRET_ID"] == ""
                waits = resource.get("DependsOn") in ("Migration", ["Migration"])
                self.assertEqual(waits, not public and name != "MigrateFunction", name)
            if resource["Type"] == "AWS::Lambda::Alias":
                self.assertEqual("UpdatePolicy" in resource, not name.startswith("Migrate"), name)
        groups = by_type(self.expansion, "AWS::CodeDeploy::DeploymentGroup")
        for group in groups.values():
            alarms = [alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]]
            self.assertEqual(alarms, ["ErrorAlarm", "LatencyAlarm"])
        off = expand(TEMPLATE, PARAMETERS | {"CanaryDeployments": "false"})
        self.assertEqual(by_type(off, "AWS::CodeDeploy::DeploymentGroup"), {})

    def test_cors_reaches_the_gateway_as_it_is_meant(self):
        (api,) = by_type(self.expansion, "AWS::ApiGatewayV2::Api").values()
        condition, any_origin, named = api["Body"]["x-amazon-apigateway-cors"]["Fn::If"]
        self.assertEqual(condition, "AnyOrigin")
        self.assertEqual((any_origin["allowOrigins"], any_origin["allowCredentials"]), (["*"], False))
        self.assertEqual(named["allowOrigins"]["Fn::Split"][0], ",")
        self.assertIs(named["allowCredentials"], True)
        same = {"allowOrigins", "allowCredentials"}
        self.assertEqual(
            {key: value for key, value in any_origin.items() if key not in same},
            {key: value for key, value in named.items() if key not in same},
        )

    def test_parameters_refuse_what_is_wrong(self):
        parameters = self.expansion["Parameters"]
        for name, good, bad in [
            ("SecretArn", [PARAMETERS["SecretArn"]], ["task-api/dev", PARAMETERS["SecretArn"][:-7], "*", ""]),
            ("CorsAllowedOrigins", ["*", "http://localhost:3000", "https://a.example,https://b.example"],
             ["", "a.example", "https://a.example/", "https://a.example, https://b.example", "*,https://a.example"]),
            ("JwtJwksUrl", ["", "https://app.example.com/api/auth/jwks"], ["http://app.example.com", "https://a b"]),
            ("AlarmTopicArn", ["", "arn:aws:sns:eu-central-1:123456789012:alarms"], ["alarms", "arn:aws:sqs:x"]),
            ("EnvironmentName", ["dev", "prod-2"], ["", "Prod", "2", "a" * 33]),
        ]:
            # CloudFormation matches the whole value.
            pattern = re.compile(parameters[name]["AllowedPattern"])
            for value in good:
                self.assertTrue(pattern.fullmatch(value), f"{name}: {value}")
            for value in bad:
                self.assertFalse(pattern.fullmatch(value), f"{name}: {value}")
        for name, parameter in parameters.items():
            self.assertTrue(parameter["Description"].endswith("."), name)
            bounds = {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)
            self.assertTrue(bounds, f"{name} takes anything")

    def test_the_access_log_is_json_that_the_metrics_can_read(self):
        (stage,) = by_type(self.expansion, "AWS::ApiGatewayV2::Stage").values()
        line = re.sub(r'(?<!")\$context\.\w+', "200", stage["AccessLogSettings"]["Format"])
        line = json.loads(line)
        self.assertEqual((line["status"], line["latency"]), (200, 200))
        for metric in by_type(self.expansion, "AWS::Logs::MetricFilter").values():
            self.assertIn(re.search(r"\$\.(\w+)", metric["FilterPattern"]).group(1), line)


class Changed(unittest.TestCase):
    FUNCTIONS = sorted(path.name for path in (ROOT / "functions").iterdir() if path.is_dir())

    def test_one_in_one_function_deploys_one(self):
        for name in self.FUNCTIONS:
            for path in ("src/main.rs", "Cargo.toml"):
                self.assertEqual(changed.changed([f"functions/{name}/{path}"], METADATA), [name])

    def test_one_in_shared_or_in_what_steers_the_build_deploys_all(self):
        for path in ("shared/src/task.rs", "shared/Cargo.toml", "Cargo.lock", "Cargo.toml", ".cargo/config.toml"):
            self.assertEqual(changed.changed([path], METADATA), self.FUNCTIONS, path)

    def test_one_that_no_binary_is_made_from_deploys_none(self):
        paths = ["README.md", "docs/contracts.md", "tests/api/main.rs", "local/src/main.rs", "events/health.json", "",
                 ".github/workflows/deploy.yml", "Cargo.lock.md", "functions/README.md", "shared-not/src/lib.rs"]
        self.assertEqual(changed.changed(paths, METADATA), [])

    def test_a_migration_deploys_migrate_the_description_docs_and_the_template_is_told(self):
        self.assertEqual(changed.changed(["migrations/V2__more.sql"], METADATA), ["migrate"])
        self.assertEqual(changed.changed(["openapi.json"], METADATA), ["docs"])
        self.assertEqual(changed.changed(["template.yaml"], METADATA), ["template"])
        paths = ["functions/get-task/src/main.rs", "samconfig.toml", "functions/health/src/main.rs"]
        self.assertEqual(changed.changed(paths, METADATA), ["get-task", "health", "template"])

    def test_reads_from_git(self):
        command = [str(ROOT / "deploy/changed.py")]
        told = subprocess.run(command, input="migrations/V2__more.sql\n", check=True, capture_output=True, text=True)
        self.assertEqual(told.stdout, "migrate\n")

    def test_what_a_function_includes_is_among_its_inputs(self):
        # include_str!, include_bytes! and embed_migrations! reach outside of a package, where cargo metadata does not.
        inputs = changed.inputs_by_function(METADATA)
        for name in self.FUNCTIONS:
            folder = ROOT / "functions" / name
            for source in folder.rglob("*.rs"):
                for included in re.findall(r'(?:include_\w+|embed_migrations)!\(\s*"([^"]+)"', source.read_text()):
                    # refinery's path is the package's, the others the file's.
                    bases = {folder, source.parent}
                    paths = [str((base / included).resolve()) for base in bases]
                    paths = [path.removeprefix(f"{ROOT}/") for path in paths]
                    self.assertTrue(any(changed.lies_in(path, inputs[name]) for path in paths), included)


if __name__ == "__main__":
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(failed > 0)
