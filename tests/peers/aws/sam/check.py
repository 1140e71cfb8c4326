"""Checks the template and deploy/build.py without deploying. The expansion of the template is compared with
docs/contracts.md."""

import functools
import json
import re
import sys
import unittest
from fnmatch import fnmatch
from subprocess import run as run_command

from cloudformation import PARAMETERS, ROOT, SECRET, Refused, Stack, arn, expand
from counted import run
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = (ROOT / "template.yaml").read_text()
sys.path.insert(0, str(ROOT / "deploy"))

import build  # noqa: E402


@functools.cache
def deployed(template=TEMPLATE, **parameters):
    return Stack(expand(template, PARAMETERS | parameters), "task-api", PARAMETERS | parameters)


def documented():
    """Returns {route: package} from docs/contracts.md's table, where routes are in backquotes."""
    routes = {}
    for line in (ROOT / "docs/contracts.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for route in re.findall(r"`([A-Z]+ /[^`]*)`", line):
            if line.startswith("| ") and re.fullmatch(r"[a-z-]+", cells[0]):
                routes[route] = cells[0]
    return routes


def integrations(stack):
    """Yields (route, logical id of the function, ARN of its alias) from the API Gateway definition."""
    (api,) = stack.of_type("AWS::ApiGatewayV2::Api").values()
    aliases = {stack.ref(key): it["FunctionName"] for key, it in stack.of_type("AWS::Lambda::Alias").items()}
    keys = {it["FunctionName"]: key for key, it in stack.of_type("AWS::Lambda::Function").items()}
    for path, methods in api["Body"]["paths"].items():
        for method, operation in methods.items():
            uri = operation["x-amazon-apigateway-integration"]["uri"]
            alias = uri.split("/functions/")[1].removesuffix("/invocations")
            yield f"{method.upper()} {path}", keys[aliases[alias]], alias


def faults(template):
    """Returns the kinds of errors in a template's routes and permissions."""
    stack = deployed(template)
    functions, found = stack.of_type("AWS::Lambda::Function"), set()
    if {route: functions[key]["Code"]["S3Key"] for route, key, _ in integrations(stack)} != documented():
        found.add("routes")
    permitted = {(it["FunctionName"], it["SourceArn"].partition("/*/" if "/*/" in it["SourceArn"] else "/$default/")[2])
                 for it in stack.of_type("AWS::Lambda::Permission").values()}
    needed = {(alias, re.sub(r"{[^}]*}", "*", route).replace(" ", "")) for route, _, alias in integrations(stack)}
    if permitted != needed:
        found.add("permissions to invoke")
    for key, function in functions.items():
        resource, name = yaml_parse(template)["Resources"][key], function["FunctionName"].removeprefix("task-api-")
        package = resource["Metadata"]["BuildProperties"]["Binary"]
        # If a package makes two functions, the name of each starts with the package's.
        if resource["Properties"]["CodeUri"] != f"functions/{package}" or not f"{name}-".startswith(f"{package}-"):
            found.add("names")
        policies = stack.resources[f"{key}Role"]["Properties"].get("Policies", [])
        readable = [it["Resource"] for policy in policies for it in policy["PolicyDocument"]["Statement"]]
        secret = {"health": "", "docs": "", "migrate": PARAMETERS["MigrationSecretArn"]}.get(name, PARAMETERS["SecretArn"])
        if readable != [secret] * bool(secret) or function["Environment"]["Variables"]["SECRET_ID"] != secret:
            found.add("secrets")
    return found


# Another value of each parameter that has neither allowed values nor a numeric type.
OTHERS = {
    "AlarmTopicArn": arn("sns", "alarms"), "CertificateArn": arn("acm", "certificate/0f1e-2d3c"),
    "CorsAllowedOrigins": "https://b.example", "DomainName": "api.example.com", "EnvironmentName": "other",
    "MigrationSecretArn": f"{SECRET}-new-StUvWx", "PermissionsBoundaryArn": arn("iam", "policy/ci/boundary", ""),
    "SecretArn": f"{SECRET}-new-MnOpQr",
}


class Template(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = deployed()

    def only(self, kind):
        (found,) = self.stack.of_type(kind).values()
        return found

    def test_routes_are_those_of_the_contracts_and_each_function_has_its_permissions(self):
        self.assertGreater(len(documented()), 15)
        self.assertEqual(faults(TEMPLATE), set())
        secret = "      Policies: [{ AWSSecretsManagerGetSecretValuePolicy: { SecretArn: !Ref SecretArn } }]\n"
        for right, wrong, fault in [
            ('Method: POST, Path: "/api/{user_id}/tasks" }', 'Method: POST, Path: "/api/{user_id}/task" }', "routes"),
            ("Binary: get-task\n", "Binary: list-tasks\n", "names"),
            ("StackName}-get-task", "StackName}-get-tasks", "names"),
            (secret, "", "secrets"),
        ]:
            self.assertIn(fault, faults(TEMPLATE.replace(right, wrong, 1)), wrong)

    def test_every_version_is_retained_when_it_is_replaced_or_removed(self):
        versions = [it for it in self.stack.declared.values() if it["Type"] == "AWS::Lambda::Version"]
        self.assertGreater(len(versions), 10)
        for version in versions:
            self.assertEqual((version.get("DeletionPolicy"), version.get("UpdateReplacePolicy")), ("Retain", "Retain"))

    def test_a_versions_description_contains_every_setting_of_a_version(self):
        # So a change of any of these values changes the description, and CloudFormation replaces the version.
        # For code and the text of Environment, SAM publishes a version anyway.
        for parameters in ({}, OTHERS | {"ServeDocs": "false", "Tracing": "Active", "MemorySize": "512"}):
            stack = deployed(**parameters)
            for key, properties in stack.of_type("AWS::Lambda::Function").items():
                words = properties["Description"].split()
                for name in set(properties) - {"Code", "Description", "Environment", "Role", "FunctionName", "Tags",
                                               "ReservedConcurrentExecutions"}:
                    for leaf in leaves(properties[name]):
                        self.assertIn(str(leaf), words, f"{key}.{name}")
        longest = {"EnvironmentName": "e" * 16, "DatabasePoolSize": "100", "Tracing": "Disabled"} | {
            name: arn("secretsmanager", f"secret:{'s' * 40}-AbCdEf") for name in PARAMETERS}
        # A function's name has at most 64 characters.
        stack = Stack(expand(TEMPLATE, longest), "n" * (64 - len("-complete-task")), longest)
        for version in stack.of_type("AWS::Lambda::Version").values():
            self.assertLessEqual(len(version["Description"]), 256)

    def test_policies_have_no_wildcards_and_roles_have_the_boundary(self):
        without_resource = {"cloudwatch:DescribeAlarms", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
        boundary = self.stack.ref("FunctionBoundary")
        roles = self.stack.of_type("AWS::IAM::Role")
        used = [it["Role"]["Fn::GetAtt"][0] for it in self.stack.template["Resources"].values()
                if it["Type"] == "AWS::Lambda::Function" for it in [it["Properties"]]]
        self.assertEqual(len(used), len(set(used)))
        documents = [policy["PolicyDocument"] for role in roles.values() for policy in role.get("Policies", [])]
        for role in roles.values():
            self.assertEqual(role["PermissionsBoundary"], boundary)
            # Else CloudFormation would replace a role, and no version would follow.
            self.assertEqual({"Path", "RoleName"} & set(role), set())
        for statement in (it for document in [*documents, self.only("AWS::IAM::ManagedPolicy")["PolicyDocument"]]
                          for it in document["Statement"]):
            self.assertNotIn("*", json.dumps(statement["Action"]))
            if not set(listed(statement["Action"])) <= without_resource:
                for resource in listed(statement["Resource"]):
                    own = resource.replace(":function:task-api-*", "").replace("/functions:*", "")
                    self.assertNotIn("*", own)

    def test_environments_contain_no_secrets_and_name_what_sam_local_may_set(self):
        for name, function in self.stack.template["Resources"].items():
            if function["Type"] == "AWS::Lambda::Function":
                variables = function["Properties"]["Environment"]["Variables"]
                settings = {key: value for key, value in variables.items() if not isinstance(value, dict)}
                self.assertLessEqual({"DATABASE_URL", "JWT_SECRET", "JWT_JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE"},
                                     set(settings), name)
                self.assertEqual(set(settings.values()), {""}, name)

    def test_endpoints_wait_for_the_migration_and_have_a_canary(self):
        for name, resource in self.stack.resources.items():
            if resource["Type"] == "AWS::Lambda::Function":
                public = resource["Properties"]["Environment"]["Variables"]["SECRET_ID"] == ""
                waits = resource.get("DependsOn") in ("Migration", ["Migration"])
                self.assertEqual(waits, not public and name != "MigrateFunction", name)
                self.assertTrue(resource["Properties"]["Timeout"] < 30 or name == "MigrateFunction", name)
            if resource["Type"] == "AWS::Lambda::Alias":
                self.assertEqual("UpdatePolicy" in resource, not name.startswith("Migrate"), name)

    def test_parameters_reject_invalid_values(self):
        for name, values in {
            "SecretArn": ["task-api/dev", PARAMETERS["SecretArn"][:-7], "*", "",
                          arn("secretsmanager", f"secret:{'s' * 41}-AbCdEf")],
            "CorsAllowedOrigins": ["a.example", "https://a.example/", "https://a.example, https://b.example", "*,*"],
            "AlarmTopicArn": ["alarms"], "EnvironmentName": ["", "Prod", "2", "a" * 17], "Tracing": ["On"],
            "PermissionsBoundaryArn": ["Boundary"], "DomainName": ["https://a.example"], "CertificateArn": ["*"],
        }.items():
            for value in values:
                with self.assertRaises(Refused, msg=f"{name}: {value}"):
                    Stack(self.stack.template, "task-api", PARAMETERS | {name: value})
        for parameters in ({"Monitoring": "false"}, {"DomainName": "api.example.com"}):
            with self.assertRaises(Refused):
                Stack(self.stack.template, "task-api", PARAMETERS | parameters)
        for name, parameter in self.stack.template["Parameters"].items():
            self.assertTrue(parameter["Description"].endswith("."), name)
            self.assertTrue({"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter), f"{name} accepts any value")

    def test_the_gateway_gets_the_cors_configuration_of_the_parameter(self):
        def cors(origins):
            (api,) = deployed(CorsAllowedOrigins=origins).of_type("AWS::ApiGatewayV2::Api").values()
            return api["Body"].get("x-amazon-apigateway-cors")

        self.assertIsNone(cors(""))
        any_origin, named = cors("*"), cors("https://a.example,https://b.example")
        self.assertEqual((any_origin.pop("allowOrigins"), any_origin.pop("allowCredentials")), (["*"], False))
        self.assertEqual((named.pop("allowOrigins"), named.pop("allowCredentials")),
                         (["https://a.example", "https://b.example"], True))
        self.assertEqual(any_origin, named)

    def test_the_access_log_is_json_with_the_fields_of_the_metric_filters(self):
        log = self.only("AWS::ApiGatewayV2::Stage")["AccessLogSettings"]
        # API Gateway adds other groups to a policy of 5,120 characters for the whole account:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
        self.assertIn(":log-group:/aws/vendedlogs/", log["DestinationArn"])
        line = json.loads(re.sub(r'(?<!")\$context\.\w+', "200", log["Format"]))
        self.assertEqual((line["status"], line["latency"]), (200, 200))
        filters = self.stack.of_type("AWS::Logs::MetricFilter").values()
        access = [it["FilterPattern"] for it in filters if it["LogGroupName"] == "/aws/vendedlogs/task-api/task-api/access"]
        self.assertEqual(len(access), 4)
        for field in re.findall(r"\$\.(\w+)", " ".join(access)):
            self.assertIn(field, line)

    def test_no_parameter_removes_a_route_or_the_settings_of_one(self):
        # A stage keeps the settings of a route that is removed, and then rejects every update.
        for name, parameter in self.stack.template["Parameters"].items():
            if parameter.get("AllowedValues") == ["true", "false"]:
                other = {name: "false" if parameter["Default"] == "true" else "true"}
                stack = deployed(**other | ({"CanaryDeployments": "false"} if name == "Monitoring" else {}))
                self.assertEqual(set(dict((route, key) for route, key, _ in integrations(stack))), set(documented()))
                (stage,) = stack.of_type("AWS::ApiGatewayV2::Stage").values()
                self.assertEqual(stage["RouteSettings"], self.only("AWS::ApiGatewayV2::Stage")["RouteSettings"])
        docs = {route for route, package in documented().items() if package == "docs"}
        self.assertEqual(set(stage["RouteSettings"]), docs)
        functions = deployed(ServeDocs="false").of_type("AWS::Lambda::Function")
        self.assertEqual(functions["DocsFunction"]["Environment"]["Variables"]["HIDE_DOCS"], "true")

    def test_a_new_account_can_deploy_the_defaults(self):
        # Lambda refuses to reserve anything of a limit of 10.
        for name, function in self.stack.of_type("AWS::Lambda::Function").items():
            self.assertNotIn("ReservedConcurrentExecutions", function, name)

    def test_a_domain_is_optional(self):
        self.assertEqual(self.stack.of_type("AWS::ApiGatewayV2::DomainName"), {})
        stack = deployed(DomainName="api.example.com", CertificateArn=OTHERS["CertificateArn"])
        (mapping,) = stack.of_type("AWS::ApiGatewayV2::ApiMapping").values()
        self.assertEqual(mapping, {"ApiId": stack.ref("Api"), "DomainName": "api.example.com", "Stage": "$default"})
        self.assertEqual(stack.outputs()["PlainBaseUrl"], "https://api.example.com/plain")
        self.assertIn("DomainTarget", stack.outputs())

    def test_log_groups_are_retained_after_the_stack_only_if_requested(self):
        for policy in ("Delete", "Retain"):
            groups = [it for it in deployed(LogDeletionPolicy=policy).resources.values()
                      if it["Type"] == "AWS::Logs::LogGroup"]
            self.assertEqual([it["DeletionPolicy"] for it in groups], [policy, policy])
            self.assertTrue(all("RetentionInDays" in it["Properties"] for it in groups))

    def test_time_limits_of_a_request_add_up_to_less_than_the_functions_timeout(self):
        limits = {}
        for name, files, pattern in [("secret", "secrets*", "FETCH_LIMIT"), ("keys", "auth/jwks*", "FETCH_LIMIT"),
                                     ("database", "store/*", "REQUEST_LIMIT")]:
            sources = "".join(path.read_text() for path in (ROOT / "shared/src").glob(files) if path.is_file())
            declaration = rf"const {pattern}: Duration = Duration::from_secs\((\d+)\)"
            (limits[name],) = map(int, re.findall(declaration, sources))
        self.assertEqual(limits, {"secret": 4, "keys": 5, "database": 8}, "update the comment at Timeout in template.yaml")
        # Lambda allows ten seconds for initialization, in which keys and database are waited for at the same
        # time.
        self.assertLess(limits["secret"] + limits["keys"], 10)


def request_lines(function, count, failed, route="GET /x"):
    """Yields the metrics of request lines, in the embedded metric format, of which this many are of a 5xx."""
    declared = [{"Namespace": "task-api/task-api", "Dimensions": [[dimension]], "Metrics": [{"Name": name}]}
                for dimension, name in (("route", "ms"), ("function", "errors"))]
    for index in range(count):
        yield {"_aws": {"CloudWatchMetrics": declared}, "route": route, "function": function, "ms": 20,
               "errors": int(index < failed)}


def statistics(lines, metric):
    """Returns the values that CloudWatch reads for a metric from log lines.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    dimensions = {it["Name"]: it["Value"] for it in metric.get("Dimensions", [])}
    return [line[metric["MetricName"]] for line in lines for it in line["_aws"]["CloudWatchMetrics"]
            if it["Namespace"] == metric["Namespace"] and {"Name": metric["MetricName"]} in it["Metrics"]
            for names in it["Dimensions"] if {name: line[name] for name in names} == dimensions]


def goes_off(alarm, values):
    """Whether an alarm on an expression goes off. `values` maps ids of metrics to values of one period."""
    (returned,) = (it for it in alarm["Metrics"] if it.get("ReturnData", True))
    if not values["requests"]:
        return alarm["TreatMissingData"] == "breaching"
    expression = returned["Expression"].replace("IF(", "if_(").replace("FILL(", "fill(")
    value = eval(expression, {"if_": lambda test, yes, no: yes if test else no, "fill": lambda value, _: value} | values)
    return value > float(alarm["Threshold"])


class Alarms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = deployed(AlarmTopicArn=OTHERS["AlarmTopicArn"])
        cls.alarms = {it["AlarmName"]: it for it in cls.stack.of_type("AWS::CloudWatch::Alarm").values()}

    def test_every_canary_is_ended_by_the_errors_of_its_own_function(self):
        groups = self.stack.of_type("AWS::CodeDeploy::DeploymentGroup")
        functions = self.stack.of_type("AWS::Lambda::Function")
        self.assertEqual(set(groups), {f"{key}DeploymentGroup" for key in functions if key != "MigrateFunction"})
        for key, group in groups.items():
            name = functions[key.removesuffix("DeploymentGroup")]["FunctionName"]
            watched = [it["Name"] for it in group["AlarmConfiguration"]["Alarms"]]
            self.assertEqual(watched, ["task-api-latency", "task-api-crashes", f"{name}-errors"])
            for it in self.alarms[f"{name}-errors"]["Metrics"]:
                if "MetricStat" in it:
                    metric = it["MetricStat"]["Metric"]
                    self.assertEqual((metric["MetricName"], metric["Dimensions"]),
                                     ("errors", [{"Name": "function", "Value": name}]))

    def test_a_failing_canary_is_seen_at_much_and_at_little_traffic(self):
        own, other = "task-api-delete-task", "task-api-list-tasks"
        alarm = self.alarms[f"{own}-errors"]
        # Five minutes of a canary with a tenth of the function's requests. Ninety-five others go to the rest
        # of the API for each of them.
        for requests, failing, verdict in [
            (6000, 1.0, True), (6000, 0.5, True), (6000, 0.01, False), (6000, 0.0, False),  # 20 per second
            (60, 1.0, True), (60, 0.5, True), (60, 0.01, False), (60, 0.0, False),  # 12 per minute
            # Too few to tell a broken version from a lost connection.
            (10, 1.0, False), (0, 1.0, False),
        ]:
            failed = round(requests / 10 * failing)
            lines = [*request_lines(own, requests, failed), *request_lines(other, requests * 19, 0)]
            values = {}
            for it in alarm["Metrics"]:
                if "MetricStat" in it:
                    self.assertEqual(it["MetricStat"]["Period"], 300)
                    found = statistics(lines, it["MetricStat"]["Metric"])
                    values[it["Id"]] = {"Sum": sum, "SampleCount": len}[it["MetricStat"]["Stat"]](found)
            with self.subTest(requests=requests, failing=failing):
                self.assertEqual(goes_off(alarm, values), verdict)

    def test_whoever_is_notified_learns_of_the_end_but_not_of_one_users_slow_list(self):
        notified = {name for name, alarm in self.alarms.items() if alarm.get("AlarmActions")}
        self.assertEqual(notified, {f"task-api-{kind}" for kind in ("crashes", "errors", "throttles", "unavailable")})
        for alarm in self.alarms.values():
            self.assertEqual(alarm.get("AlarmActions"), alarm.get("OKActions"))
        for kind, failed in (("errors", "failed"), ("latency", "slow")):
            # One failure at night, few among many, and a real problem.
            on = [goes_off(self.alarms[f"task-api-{kind}"], {failed: many, "requests": of})
                  for many, of in ((1, 1), (2, 2), (10, 1000), (30, 1000))]
            self.assertEqual(on, [False, False, False, True])

    def test_metrics_of_the_log_are_watched_and_shown(self):
        filtered = {it["MetricTransformations"][0]["MetricName"]
                    for it in self.stack.of_type("AWS::Logs::MetricFilter").values()}
        watched = {it["MetricName"] for it in self.alarms.values() if "MetricName" in it}
        watched |= {it["MetricStat"]["Metric"]["MetricName"] for alarm in self.alarms.values()
                    for it in alarm.get("Metrics", []) if "MetricStat" in it}
        self.assertEqual(watched, filtered | {"errors"})
        (dashboard,) = self.stack.of_type("AWS::CloudWatch::Dashboard").values()
        # Dashboards are global.
        self.assertTrue(dashboard["DashboardName"].endswith("-eu-central-1"))
        widgets = [it["properties"] for it in json.loads(dashboard["DashboardBody"])["widgets"]]
        metrics = [metric for it in widgets for metric in it.get("metrics", [])]
        self.assertEqual({metric[1] for metric in metrics if len(metric) > 1}, filtered)
        searches = " ".join(metric[0]["expression"] for metric in metrics if len(metric) == 1)
        # Double quotes mean a whole value:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
        self.assertEqual(set(re.findall(r'"(.*?)"', searches)), {"ms", "database_ms", "Invocations"} | {
            it["FunctionName"] for key, it in self.stack.of_type("AWS::Lambda::Function").items() if key != "MigrateFunction"})
        for query in (it["query"] for it in widgets if "query" in it):
            self.assertIn("SOURCE '/task-api/task-api/functions'", query)

    def test_a_preview_has_no_metrics_alarms_or_dashboard(self):
        stack = deployed(Monitoring="false", CanaryDeployments="false")
        self.assertTrue(stack.resources)
        self.assertEqual({it["Type"] for it in stack.declared.values() if "::CloudWatch::" in it["Type"]
                          or it["Type"] == "AWS::Logs::MetricFilter"}, set())
        for function in stack.of_type("AWS::Lambda::Function").values():
            self.assertEqual(function["Environment"]["Variables"]["METRICS_NAMESPACE"], "")


class Build(unittest.TestCase):
    INPUTS = build.inputs_by_function(build.workspace())

    def rebuilt(self, path):
        return {name for name, inputs in self.INPUTS.items()
                if any(path == it or path.startswith(f"{it}/") for it in inputs)}

    def test_a_function_is_built_if_its_inputs_change(self):
        everything = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir()}
        for path, names in [
            ("functions/get-task/src/main.rs", {"get-task"}), ("functions/health/Cargo.toml", {"health"}),
            ("migrations/V2__more.sql", {"migrate"}), ("openapi.json", {"docs"}), ("shared/src/task.rs", everything),
            ("Cargo.lock", everything), ("deploy/requirements.txt", everything), (".cargo/config.toml", everything),
            ("README.md", set()), ("tests/api/main.rs", set()), ("local/src/main.rs", set()), ("template.yaml", set()),
        ]:
            self.assertEqual(self.rebuilt(path), names, path)

    def test_files_that_a_function_includes_are_among_its_inputs(self):
        # include_str!, include_bytes! and embed_migrations! can read outside of a package, which cargo
        # metadata doesn't show.
        for name in self.INPUTS:
            folder = ROOT / "functions" / name
            for source in folder.rglob("*.rs"):
                for included in re.findall(r'(?:include_\w+|embed_migrations)!\(\s*"([^"]+)"', source.read_text()):
                    # refinery's path is relative to the package, the others' to the file.
                    paths = [str((base / included).resolve()).removeprefix(f"{ROOT}/") for base in (folder, source.parent)]
                    self.assertTrue(any(name in self.rebuilt(path) for path in paths), included)

    def test_dependabot_watches_every_lock_file(self):
        listed_ = yaml_parse((ROOT / ".github/dependabot.yml").read_text())["updates"]
        files = run_command(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
        for ecosystem, file in (("npm", "package.json"), ("pip", "requirements.txt")):
            (patterns,) = (it["directories"] for it in listed_ if it["package-ecosystem"] == ecosystem)
            for folder in (f"/{path.removesuffix('/' + file)}" for path in files if path.endswith(f"/{file}")):
                self.assertTrue(any(fnmatch(folder, pattern) for pattern in patterns), folder)


def listed(value):
    return value if isinstance(value, list) else [value]


def leaves(value):
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


if __name__ == "__main__":
    run(sys.modules["__main__"])
