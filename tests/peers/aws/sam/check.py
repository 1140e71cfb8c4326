"""Checks the template and deploy/changed.py without deploying.

The expansion of the template is compared with docs/contracts.md. Each check is shown to fail on a copy of the
template with a mistake.
"""

import json
import re
import subprocess
import sys
import unittest
from pathlib import Path

from cloudformation import Stack
from counted import run
from expand import PARAMETERS, expand
from samtranslator.yaml_helper import yaml_parse

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
TEMPLATE = (ROOT / "template.yaml").read_text()
sys.path.insert(0, str(ROOT / "deploy"))

import changed  # noqa: E402

METADATA = changed.workspace()


def documented():
    """Returns {route: package} from docs/contracts.md's table, where routes are in backquotes."""
    routes = {}
    for line in (ROOT / "docs/contracts.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for route in re.findall(r"`([A-Z]+ /[^`]*)`", line):
            if line.startswith("| ") and re.fullmatch(r"[a-z-]+", cells[0]):
                routes[route] = cells[0]
    return routes


def by_type(expansion, kind):
    return {name: it["Properties"] for name, it in expansion["Resources"].items() if it["Type"] == kind}


def if_true(value):
    """Returns the value that applies if the condition of its Fn::If is true."""
    return value["Fn::If"][1] if "Fn::If" in value else value


def aliases(expansion):
    """Yields (route, alias of a function) from the API Gateway definition."""
    (api,) = by_type(expansion, "AWS::ApiGatewayV2::Api").values()
    for path, methods in api["Body"]["paths"].items():
        for method, operation in if_true(methods).items():
            uri = if_true(if_true(operation)["x-amazon-apigateway-integration"]["uri"])["Fn::Sub"]
            yield f"{method.upper()} {path}", re.search(r"functions/\$\{(\w+)\}/invocations", uri).group(1)


def routes(expansion):
    """Returns {route: package}, following the alias of a function to its code."""
    found = {}
    for route, alias in aliases(expansion):
        function = expansion["Resources"][alias]["Properties"]["FunctionName"]["Ref"]
        found[route] = expansion["Resources"][function]["Properties"]["Code"]["S3Key"]
    return found


def permitted(expansion):
    """Returns the pairs (alias, route with * for parameters) that API Gateway is allowed to invoke."""
    found = set()
    for permission in by_type(expansion, "AWS::Lambda::Permission").values():
        assert permission["Principal"] == "apigateway.amazonaws.com", permission
        arn = permission["SourceArn"]["Fn::Sub"][0]
        method, _, path = arn.split("${__Stage__}/")[1].partition("/")
        found.add((permission["FunctionName"]["Ref"], f"{method} /{path}"))
    return found


def needed(expansion):
    return {(alias, re.sub(r"{[^}]*}", "*", route)) for route, alias in aliases(expansion)}


def statements(expansion):
    """Yields (resource, statement) for every inline or customer-managed policy."""
    for kind in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
        for name, properties in by_type(expansion, kind).items():
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
            for document in documents:
                for statement in document["Statement"]:
                    yield name, if_true(statement)


def listed(value):
    return value if isinstance(value, list) else [value]


def secrets_read(expansion):
    """Returns {package: parameter with the secret that its function is allowed to read}."""
    found = {}
    for function in by_type(expansion, "AWS::Lambda::Function").values():
        role = function["Role"]["Fn::GetAtt"][0]
        for name, statement in statements(expansion):
            if name == role:
                assert listed(statement["Action"]) == ["secretsmanager:GetSecretValue"], statement
                package = function["FunctionName"]["Fn::Sub"].split("}-")[1]
                found[package] = statement["Resource"]["Fn::Sub"][1]["secretArn"]["Ref"]
    return found


def secrets_needed(expansion):
    secret = dict.fromkeys(names(expansion) - {"health", "docs"}, "SecretArn")
    return secret | {"migrate": "MigrationSecretArn"}


def names(expansion):
    functions = by_type(expansion, "AWS::Lambda::Function").values()
    return {function["FunctionName"]["Fn::Sub"].removeprefix("${AWS::StackName}-") for function in functions}


# For logs, and for X-Ray if tracing is on. The permissions boundary leaves only a small part of them.
MANAGED_POLICIES = {
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
}


def attached(expansion):
    """Returns the AWS-managed policies of the functions' roles."""
    roles = {function["Role"]["Fn::GetAtt"][0] for function in by_type(expansion, "AWS::Lambda::Function").values()}
    return {policy for role in roles for policy in expansion["Resources"][role]["Properties"]["ManagedPolicyArns"]}


def misplaced(template):
    """Returns the functions whose folder or name doesn't match their package.

    If a package makes two functions, the name of each starts with the package's.
    """
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
    """Returns the kinds of errors in an expansion."""
    faults = []
    if not attached(expansion) <= MANAGED_POLICIES:
        faults.append("managed policies")
    if routes(expansion) != documented():
        faults.append("routes")
    if permitted(expansion) != needed(expansion):
        faults.append("permissions to invoke")
    if secrets_read(expansion) != secrets_needed(expansion):
        faults.append("permissions to read the secret")
    return faults


# These actions don't support resource-level permissions.
WITHOUT_RESOURCE = {"cloudwatch:DescribeAlarms", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}


class Expansion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.expansion = expand(TEMPLATE)

    def functions(self):
        return by_type(self.expansion, "AWS::Lambda::Function")

    def test_routes_are_those_of_the_contracts_and_api_gateway_may_invoke_their_functions(self):
        self.assertGreater(len(documented()), 15)
        self.assertEqual(routes(self.expansion), documented())
        self.assertEqual(permitted(self.expansion), needed(self.expansion))
        self.assertEqual(refused(self.expansion), [])

    def test_mistakes_in_the_template_are_found(self):
        secret = "      Policies: [{ AWSSecretsManagerGetSecretValuePolicy: { SecretArn: !Ref SecretArn } }]\n"
        for right, wrong, fault in [
            ('Method: POST, Path: "/api/{user_id}/tasks" }', 'Method: POST, Path: "/api/{user_id}/task" }', "routes"),
            ('Method: POST, Path: "/api', 'Method: PSOT, Path: "/api', "routes"),
            ('Method: PATCH, Path: "/plain', 'Method: POST, Path: "/plain', "routes"),
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
        # A misspelled key, which lint accepts, makes no route.
        with self.assertRaises(Exception):
            self.assertEqual(refused(expand(TEMPLATE.replace("Method: DELETE", "Methood: DELETE", 1))), [])
        # SAM makes a route and a permission from an event. One without the other is found as well.
        expansion = expand(TEMPLATE)
        del expansion["Resources"]["GetTaskFunctionPlainPermission"]
        self.assertEqual(refused(expansion), ["permissions to invoke"])

    def test_functions_have_the_folder_and_the_name_of_their_package(self):
        self.assertEqual(misplaced(TEMPLATE), [])

    def test_policies_have_no_wildcards(self):
        seen = 0
        for name, statement in statements(self.expansion):
            seen += 1
            actions = set(listed(statement["Action"]))
            self.assertFalse([action for action in actions if "*" in action], name)
            if not actions <= WITHOUT_RESOURCE:
                for resource in listed(statement["Resource"]):
                    # Except for CodeDeploy's role: all functions of this stack.
                    self.assertNotIn("*", json.dumps(resource).replace(":function:${AWS::StackName}-*", ""), name)
        self.assertGreater(seen, 8)

    def test_every_function_has_a_role_of_its_own_within_the_boundary(self):
        roles = [function["Role"]["Fn::GetAtt"][0] for function in self.functions().values()]
        self.assertEqual(len(roles), len(set(roles)))
        for role in roles:
            properties = self.expansion["Resources"][role]["Properties"]
            own, given = {"Ref": "FunctionBoundary"}, {"Ref": "PermissionsBoundaryArn"}
            self.assertEqual(properties["PermissionsBoundary"], {"Fn::If": ["MakesBoundary", own, given]})

    def test_environments_contain_no_secrets(self):
        for name, function in self.functions().items():
            variables = function["Environment"]["Variables"]
            settings = {key: value for key, value in variables.items() if not isinstance(value, dict)}
            # `sam local` can set only variables that the template has.
            self.assertLessEqual({"DATABASE_URL", "JWT_SECRET", "JWT_JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE"},
                                 set(settings), name)
            self.assertEqual(set(settings.values()), {""}, name)

    def test_log_groups_have_a_retention_and_functions_time_out_before_the_gateway(self):
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
            self.assertEqual(alarms, ["ErrorAlarm", "LatencyAlarm", "CrashAlarm"])
        off = expand(TEMPLATE, PARAMETERS | {"CanaryDeployments": "false"})
        self.assertEqual(by_type(off, "AWS::CodeDeploy::DeploymentGroup"), {})

    def test_the_gateway_gets_the_cors_configuration_of_the_parameter(self):
        (api,) = by_type(self.expansion, "AWS::ApiGatewayV2::Api").values()
        condition, any_origin, other = api["Body"]["x-amazon-apigateway-cors"]["Fn::If"]
        no_origin, nothing, named = other["Fn::If"]
        self.assertEqual((no_origin, nothing), ("NoOrigin", {"Ref": "AWS::NoValue"}))
        self.assertEqual(condition, "AnyOrigin")
        self.assertEqual((any_origin["allowOrigins"], any_origin["allowCredentials"]), (["*"], False))
        self.assertEqual(named["allowOrigins"]["Fn::Split"][0], ",")
        self.assertIs(named["allowCredentials"], True)
        same = {"allowOrigins", "allowCredentials"}
        self.assertEqual(
            {key: value for key, value in any_origin.items() if key not in same},
            {key: value for key, value in named.items() if key not in same},
        )

    def test_parameters_reject_invalid_values(self):
        parameters = self.expansion["Parameters"]
        for name, good, bad in [
            ("SecretArn", [PARAMETERS["SecretArn"]], ["task-api/dev", PARAMETERS["SecretArn"][:-7], "*", ""]),
            ("CorsAllowedOrigins", ["", "*", "http://localhost:3000", "https://a.example,https://b.example"],
             ["a.example", "https://a.example/", "https://a.example, https://b.example", "*,https://a.example"]),
            ("AlarmTopicArn", ["", "arn:aws:sns:eu-central-1:123456789012:alarms"], ["alarms", "arn:aws:sqs:x"]),
            ("EnvironmentName", ["dev", "prod-2"], ["", "Prod", "2", "a" * 17]),
            ("Release", ["", "0123456789ab", "v1.2-rc_1"], ["a b", "a" * 17]),
            ("PermissionsBoundaryArn", ["", "arn:aws:iam::123456789012:policy/task-api-ci/Boundary-1A"], ["Boundary"]),
        ]:
            # CloudFormation matches the pattern with the whole value.
            pattern = re.compile(parameters[name]["AllowedPattern"])
            for value in good:
                self.assertTrue(pattern.fullmatch(value), f"{name}: {value}")
            for value in bad:
                self.assertFalse(pattern.fullmatch(value), f"{name}: {value}")
        for name, parameter in parameters.items():
            self.assertTrue(parameter["Description"].endswith("."), name)
            bounds = {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)
            self.assertTrue(bounds, f"{name} accepts any value")

    def test_the_access_log_is_json_with_the_fields_of_the_metric_filters(self):
        (stage,) = by_type(self.expansion, "AWS::ApiGatewayV2::Stage").values()
        line = re.sub(r'(?<!")\$context\.\w+', "200", stage["AccessLogSettings"]["Format"])
        line = json.loads(line)
        self.assertEqual((line["status"], line["latency"]), (200, 200))
        filters = Stack(self.expansion, "task-api", PARAMETERS).of_type("AWS::Logs::MetricFilter").values()
        access = [it["FilterPattern"] for it in filters if it["LogGroupName"] == "/task-api/task-api/access"]
        self.assertEqual(len(access), 4)
        for pattern in access:
            for field in re.findall(r"\$\.(\w+)", pattern):
                self.assertIn(field, line)

    def test_docs_have_their_own_throttling_and_can_be_left_out(self):
        docs = {route for route, package in documented().items() if package == "docs"}
        stack = Stack(self.expansion, "task-api", PARAMETERS)
        (stage,) = stack.of_type("AWS::ApiGatewayV2::Stage").values()
        self.assertEqual(set(stage["RouteSettings"]), docs)
        for settings in stage["RouteSettings"].values():
            self.assertLessEqual(settings["ThrottlingRateLimit"], 2)

        parameters = PARAMETERS | {"ServeDocs": "false"}
        stack = Stack(expand(TEMPLATE, parameters), "task-api", parameters)
        self.assertEqual([key for key in stack.resources if key.startswith("Docs")], [])
        (stage,) = stack.of_type("AWS::ApiGatewayV2::Stage").values()
        # API Gateway rejects settings of a route that does not exist.
        self.assertNotIn("RouteSettings", stage)
        (api,) = stack.of_type("AWS::ApiGatewayV2::Api").values()
        self.assertEqual({path for path in api["Body"]["paths"] if path in ("/docs", "/openapi.json")}, set())

    def test_log_groups_are_retained_after_the_stack_only_if_requested(self):
        for policy, parameters in [("Delete", {}), ("Retain", {"LogDeletionPolicy": "Retain"})]:
            stack = Stack(self.expansion, "task-api", PARAMETERS | parameters)
            groups = [it for it in stack.resources.values() if it["Type"] == "AWS::Logs::LogGroup"]
            self.assertEqual([it["DeletionPolicy"] for it in groups], [policy, policy])

    def test_alarms_need_many_failures_and_a_large_share_of_all_requests(self):
        stack = Stack(self.expansion, "task-api", PARAMETERS)
        alarms = {it["AlarmName"]: it for it in stack.of_type("AWS::CloudWatch::Alarm").values()}
        kinds = ("errors", "latency", "crashes", "unavailable", "throttles")
        self.assertEqual(set(alarms), {f"task-api-{kind}" for kind in kinds})
        for kind in ("errors", "latency"):
            alarm = alarms[f"task-api-{kind}"]
            (returned,) = (it for it in alarm["Metrics"] if it.get("ReturnData", True))
            _, failed, requests = (it["Id"] for it in alarm["Metrics"])

            def on(many, of):
                expression = returned["Expression"].replace("IF(", "if_(").replace("FILL(", "fill(")
                value = eval(expression, {"if_": lambda test, yes, no: yes if test else no,
                                          "fill": lambda value, _: value, failed: many, requests: of})
                return value > float(alarm["Threshold"])

            # One user's slow list at night, a few failures among many requests, and a real problem.
            self.assertEqual([on(1, 1), on(4, 4), on(5, 1000), on(5, 50), on(60, 1000)],
                             [False, False, False, True, True])
        metrics = {it["MetricTransformations"][0]["MetricName"]
                   for it in stack.of_type("AWS::Logs::MetricFilter").values()}
        watched = {it["MetricName"] for it in alarms.values() if "MetricName" in it}
        watched |= {it["MetricStat"]["Metric"]["MetricName"] for alarm in alarms.values()
                    for it in alarm.get("Metrics", []) if "MetricStat" in it}
        self.assertEqual(watched, metrics)

    def test_the_dashboard_shows_existing_metrics(self):
        stack = Stack(self.expansion, "task-api", PARAMETERS)
        (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
        widgets = [it["properties"] for it in json.loads(dashboard["DashboardBody"])["widgets"]]
        filtered = {it["MetricTransformations"][0]["MetricName"]
                    for it in stack.of_type("AWS::Logs::MetricFilter").values()}
        # Functions write these in the embedded metric format, into the same namespace as the metric filters.
        declared = re.search(r"const METRICS: .* = \[(.*)\]", (ROOT / "shared/src/logs.rs").read_text()).group(1)
        by_route = set(re.findall(r'"(\w+)"', declared))
        for function in stack.of_type("AWS::Lambda::Function").values():
            self.assertEqual(function["Environment"]["Variables"]["METRICS_NAMESPACE"], "task-api/task-api")
        plotted, searched = set(), set()
        for metric in (metric for it in widgets for metric in it.get("metrics", [])):
            if len(metric) > 1:
                self.assertEqual(metric[0], "task-api/task-api")
                plotted.add(metric[1])
            else:
                search = re.search(r"SEARCH\('\{(.*?)\} MetricName=\"(\w+)\"", metric[0]["expression"])
                searched.add(search.groups())
        self.assertEqual(plotted, filtered)
        self.assertEqual(searched, {("task-api/task-api,route", name) for name in by_route}
                         | {("AWS/Lambda,ExecutedVersion,FunctionName,Resource", "Invocations")})
        for query in (it["query"] for it in widgets if "query" in it):
            self.assertIn("SOURCE '/task-api/task-api/functions'", query)

    def test_time_limits_of_a_request_add_up_to_less_than_the_functions_timeout(self):
        limits = {}
        for name, files, pattern in [("secret", "secrets*", "FETCH_LIMIT"), ("keys", "auth/jwks*", "FETCH_LIMIT"),
                                     ("database", "store/*", "REQUEST_LIMIT")]:
            sources = "".join(path.read_text() for path in (ROOT / "shared/src").glob(files) if path.is_file())
            declaration = rf"const {pattern}: Duration = Duration::from_secs\((\d+)\)"
            (limits[name],) = map(int, re.findall(declaration, sources))
        self.assertEqual(limits, {"secret": 4, "keys": 5, "database": 8}, "update the comment at Timeout in template.yaml")
        for name, function in self.functions().items():
            # One second is left for everything else.
            self.assertGreater(function["Timeout"], sum(limits.values()) + 1, name)
        # Lambda allows ten seconds for initialization, in which a function waits for keys and database at the
        # same time.
        self.assertLess(limits["secret"] + limits["keys"], 10)


class Changed(unittest.TestCase):
    FUNCTIONS = sorted(path.name for path in (ROOT / "functions").iterdir() if path.is_dir())

    def test_a_change_in_one_function_deploys_only_that_function(self):
        for name in self.FUNCTIONS:
            for path in ("src/main.rs", "Cargo.toml"):
                self.assertEqual(changed.changed([f"functions/{name}/{path}"], METADATA), [name])

    def test_a_change_in_shared_or_in_the_build_configuration_deploys_all(self):
        for path in ("shared/src/task.rs", "shared/Cargo.toml", "Cargo.lock", "Cargo.toml", ".cargo/config.toml"):
            self.assertEqual(changed.changed([path], METADATA), self.FUNCTIONS, path)

    def test_a_change_outside_of_the_inputs_of_binaries_deploys_none(self):
        paths = ["README.md", "docs/contracts.md", "tests/api/main.rs", "local/src/main.rs", "events/health.json", "",
                 ".github/workflows/deploy.yml", "Cargo.lock.md", "functions/README.md", "shared-not/src/lib.rs"]
        self.assertEqual(changed.changed(paths, METADATA), [])

    def test_migrations_deploy_migrate_openapi_json_deploys_docs_and_the_template_is_reported(self):
        self.assertEqual(changed.changed(["migrations/V2__more.sql"], METADATA), ["migrate"])
        self.assertEqual(changed.changed(["openapi.json"], METADATA), ["docs"])
        self.assertEqual(changed.changed(["template.yaml"], METADATA), ["template"])
        paths = ["functions/get-task/src/main.rs", "samconfig.toml", "functions/health/src/main.rs"]
        self.assertEqual(changed.changed(paths, METADATA), ["get-task", "health", "template"])

    def test_paths_are_read_from_standard_input(self):
        command = [str(ROOT / "deploy/changed.py")]
        told = subprocess.run(command, input="migrations/V2__more.sql\n", check=True, capture_output=True, text=True)
        self.assertEqual(told.stdout, "migrate\n")

    def test_files_that_a_function_includes_are_among_its_inputs(self):
        # include_str!, include_bytes! and embed_migrations! can read outside of a package, which cargo
        # metadata doesn't show.
        inputs = changed.inputs_by_function(METADATA)
        for name in self.FUNCTIONS:
            folder = ROOT / "functions" / name
            for source in folder.rglob("*.rs"):
                for included in re.findall(r'(?:include_\w+|embed_migrations)!\(\s*"([^"]+)"', source.read_text()):
                    # refinery's path is relative to the package, the others' to the file.
                    bases = {folder, source.parent}
                    paths = [str((base / included).resolve()) for base in bases]
                    paths = [path.removeprefix(f"{ROOT}/") for path in paths]
                    self.assertTrue(any(changed.lies_in(path, inputs[name]) for path in paths), included)


if __name__ == "__main__":
    run(sys.modules["__main__"])
