"""Checks template.yaml against the code: routes, permissions, schema, settings. SAM's own translator expands it."""

import json
import logging
import os
import re
import sys
from pathlib import Path

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
ROUTES_RS = (ROOT / "shared/src/routes.rs").read_text()
SCHEMA_RS = (ROOT / "shared/src/table/schema.rs").read_text()
INDEX_RS = (ROOT / "shared/src/table/index.rs").read_text()
COUNTER_RS = (ROOT / "shared/src/table/counter.rs").read_text()
REPORT_RS = (ROOT / "shared/src/report.rs").read_text()
CONFIG_RS = (ROOT / "shared/src/config.rs").read_text()

FUNCTIONS = re.findall(r'"(\w+)"', re.search(r"FUNCTIONS: &\[&str\] = &\[(.*?)\];", ROUTES_RS, re.S)[1])
ROUTES = {
    f"{method} {path}": function
    for method, path, function in re.findall(r'Route::new\(\s*"(\w+)",\s*"([^"]+)",\s*"(\w+)"', ROUTES_RS)
}

HASH, LRU = re.findall(r'pub const (?:HASH|LRU)_INDEX: &str = "(\w+)"', INDEX_RS)

# What each function's code calls, on the table and on its indexes. TransactWriteItems takes the permissions of its
# parts. "Stamp" is an UpdateItem of item 0's own attributes alone.
OPEN = {"GetItem", "DescribeTable"}
ALLOWED = {
    "calibrate": (set(), set()),
    "clear": (OPEN | {"Scan", "UpdateItem", "DeleteItem"}, set()),
    "delete": (OPEN | {"BatchGetItem", "UpdateItem", "DeleteItem"}, {HASH}),
    "find": (OPEN | {"BatchGetItem", "Stamp"}, {HASH}),
    "get": (OPEN | {"Stamp"}, set()),
    "health": (OPEN | {"Stamp"}, set()),
    "list": (OPEN | {"BatchGetItem", "Scan", "Stamp"}, {LRU}),
    "lookup": (OPEN | {"BatchGetItem", "Scan", "UpdateItem"}, {HASH}),
    "meta": (OPEN | {"UpdateItem"}, set()),
    "namespaces": (OPEN | {"Scan", "Stamp"}, set()),
    "provision": ({"DescribeTable", "DescribeTimeToLive", "Stamp"}, set()),
    "reembed": ({"GetItem", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem"}, set()),
    "put": (OPEN | {"BatchGetItem", "PutItem", "UpdateItem", "DeleteItem"}, {HASH, LRU}),
    "quota": (OPEN | {"UpdateItem"}, set()),
    "snapshot": (set(), set()),
    "stats": (OPEN | {"Scan", "Stamp"}, set()),
    "touch": (OPEN | {"UpdateItem"}, set()),
    "vacuum": (OPEN | {"BatchGetItem", "Scan", "PutItem", "UpdateItem", "DeleteItem"}, {LRU}),
}
# Functions that embed, and what they may do for it, each where a parameter says so.
EMBEDDER = {
    "OnBedrock": ({"bedrock:InvokeModel"}, "EmbedderModelArns"),
    "WithApiKey": ({"secretsmanager:GetSecretValue", "ssm:GetParameter"}, "EmbedderApiKeyArn"),
    "OwnApiKeyKey": ({"kms:Decrypt"}, "EmbedderApiKeyKeyArn"),
}
NEXT_EMBEDDER = {"WithNextApiKey": ({"secretsmanager:GetSecretValue", "ssm:GetParameter"}, "EmbedderNextApiKeyArn")}
BOTH = EMBEDDER | NEXT_EMBEDDER
EMBEDDING = {"calibrate": EMBEDDER, "lookup": BOTH, "put": BOTH, "reembed": BOTH}
KEY_READ = {"kms:Decrypt", "kms:DescribeKey"}
KEY_WRITE = KEY_READ | {"kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
# What SAM itself gives every function: its logs, and X-Ray, whose actions know no resources.
SAMS_OWN = {"AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess", "AWSXRayDaemonWriteAccess"}

# Values that the functions take, and values that would stop each of them at start (shared/src/config.rs).
WHOLE = ["", "1", "1000"], ["0", "-1", "1.5", "x"]
EMBEDDERS = (
    ["", "none", "minilm", "bedrock:amazon.titan-embed-text-v2:0:512", "openai:m@https://api.openai.com/v1"],
    ["titan", "openai:m", "bedrock:", "minilm:7"],
)
KEY_ARNS = (
    ["", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:key-AbCdEf", "arn:aws:ssm:eu-west-1:123456789012:parameter/key"],
    ["sk-a-key-itself", "arn:aws:s3:::bucket"],
)
PATTERNS = [
    ("EmbedderDim", *WHOLE),
    ("EmbedderNextDim", *WHOLE),
    ("DefaultTtlSecs", *WHOLE),
    ("MaxEntries", *WHOLE),
    ("MetricNamespaces", ["", "0", "20", "1000"], ["1001", "-1", "many"]),
    ("SimilarityThreshold", ["", "0.85", "-1", "1", "-0.5", "1.0"], ["2", "..", "-", "1.5", "85"]),
    ("ConfidenceCutoff", ["", "0", "0.7", "1"], ["7", "-0.1", ".", "1.1"]),
    ("Embedder", *EMBEDDERS),
    ("EmbedderNext", *EMBEDDERS),
    ("EmbedderApiKeyArn", *KEY_ARNS),
    ("EmbedderNextApiKeyArn", *KEY_ARNS),
    ("ConfidenceHalfLifeSecs", ["", "3600", "86400.5"], ["0", "-1", "x"]),
]
# Functions without an alarm on their time.
UNTIMED = {"clear", "provision", "reembed", "snapshot", "vacuum"}

results = {"passed": 0, "failed": 0}


def check(what: str, found: object, expected: object = True) -> None:
    if found == expected:
        results["passed"] += 1
    else:
        results["failed"] += 1
        print(f"FAILED {what}\n  found    {found!r}\n  expected {expected!r}")


def as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def logical(function: str) -> str:
    return f"{function.capitalize()}Function"


def walk(node: object, path: tuple = ()):
    yield path, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from walk(child, (*path, key))


def parameters_in(node: object, template: dict) -> set[str]:
    """The parameters that `node` refers to."""
    found = set()
    for _, value in walk(node):
        if isinstance(value, dict) and "Ref" in value:
            found.add(value["Ref"])
        if isinstance(value, dict) and "Fn::Sub" in value:
            found.update(re.findall(r"\$\{(\w+)\}", str(value["Fn::Sub"])))
    return found & set(template["Parameters"])


def expand(template: dict) -> dict:
    """The template as CloudFormation gets it, SAM's resources expanded."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    session = boto3.Session(region_name="us-east-1")
    return Translator({}, Parser(), boto_session=session).translate(template, defaults)


def check_functions(template: dict) -> None:
    defaults = template["Globals"]["Function"]
    check("runtime", defaults["Runtime"], "provided.al2023")
    check("handler", defaults["Handler"], "bootstrap")
    check("architecture", defaults["Architectures"], [{"Ref": "Architecture"}])
    check("tracing", defaults["Tracing"], "Active")
    check("alias", defaults["AutoPublishAlias"], "live")
    serverless = {n for n, r in template["Resources"].items() if r["Type"] == "AWS::Serverless::Function"}
    check("functions", serverless, {logical(function) for function in FUNCTIONS})
    for function in FUNCTIONS:
        resource = template["Resources"][logical(function)]
        properties = resource["Properties"]
        check(f"{function}: name", properties["FunctionName"], {"Fn::Sub": f"${{AWS::StackName}}-{function}"})
        check(f"{function}: code", properties["CodeUri"], ".")
        metadata = {
            # So that `sam local invoke` knows it by this name.
            "SamResourceId": function,
            "BuildMethod": "rust-cargolambda",
            "BuildProperties": {"Binary": f"mneme-{function}"},
        }
        check(f"{function}: metadata", resource["Metadata"], metadata)
        check(f"{function}: package", (ROOT / f"functions/{function}/src/main.rs").exists())
        logs = template["Resources"][properties["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
        check(f"{function}: log group", logs["LogGroupName"], {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}-{function}"})
        check(f"{function}: retention", logs["RetentionInDays"], {"Ref": "LogRetentionDays"})
        # Changed parameters reach the alias only through the number of the settings.
        numbered = {"Fn::Sub": "settings ${Settings.VersionNumber}"}
        check(f"{function}: version's description", properties["VersionDescription"], numbered)
        used = parameters_in([defaults, properties.get("MemorySize"), properties.get("Layers")], template)
        described = parameters_in(template["Resources"]["Settings"]["Properties"]["Content"], template)
        check(f"{function}: parameters that the settings lack", used - described, {"DeploymentType"})
        layers = {"Fn::If": ["WithMinilmLayer", [{"Ref": "MinilmLayerArn"}], {"Ref": "AWS::NoValue"}]}
        check(f"{function}: layer", properties.get("Layers"), layers if function in EMBEDDING else None)


def check_settings(template: dict) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    known = set(re.findall(r'"(MNEME_[A-Z_]+)"', CONFIG_RS))
    check("settings that the code does not know", set(variables) - known, set())
    check("the functions create no table", variables["MNEME_CREATE_TABLE"], "false")
    check("the functions use the table", variables["MNEME_TABLE_NAME"], {"Ref": "Table"})
    for name, fits, not_fits in PATTERNS:
        pattern = re.compile(template["Parameters"][name]["AllowedPattern"])
        bad = [v for v in fits if not pattern.fullmatch(v)] + [v for v in not_fits if pattern.fullmatch(v)]
        check(f"{name}: values that its pattern takes for what they are not", bad, [])
    used = parameters_in([template["Globals"], template["Resources"], template["Conditions"]], template)
    check("unused parameters", set(template["Parameters"]) - used, set())


def check_routes(template: dict, expanded: dict) -> None:
    events = {
        f"{event['Properties']['Method']} {event['Properties']['Path']}": function
        for function in FUNCTIONS
        for event in template["Resources"][logical(function)]["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
    }
    check("routes", events, ROUTES)
    body = expanded["Resources"]["Api"]["Properties"]["Body"]
    operations = {f"{m.upper()} {path}": o for path, ms in body["paths"].items() for m, o in ms.items()}
    check("routes of the API", set(operations), set(ROUTES))
    either = {"Fn::If": ["UseJwt", [{"Jwt": []}], [{"Iam": []}]]}
    for route, operation in operations.items():
        check(f"{route}: authorisation", operation.get("security"), either)
        integration = operation.get("x-amazon-apigateway-integration", {})
        check(f"{route}: payload format", integration.get("payloadFormatVersion"), "2.0")
        check(f"{route}: function", f"{{{logical(ROUTES.get(route, '?'))}Aliaslive}}" in str(integration.get("uri")))
    schemes = body["components"]["securitySchemes"]
    check("IAM", schemes["Iam"]["x-amazon-apigateway-authtype"], "awsSigv4")
    condition, jwt, otherwise = schemes["Jwt"]["Fn::If"]
    check("JWT by parameter", (condition, otherwise), ("UseJwt", {"Ref": "AWS::NoValue"}))
    check("JWT", jwt["x-amazon-apigateway-authorizer"]["jwtConfiguration"]["issuer"], {"Ref": "JwtIssuer"})
    [stage] = [r["Properties"] for r in expanded["Resources"].values() if r["Type"] == "AWS::ApiGatewayV2::Stage"]
    check("throttling", {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(stage["DefaultRouteSettings"]))
    access_log = json.loads(stage["AccessLogSettings"]["Format"])
    check("access log", {"status", "route", "requestId"} <= set(access_log))


def check_schedule(template: dict) -> None:
    scheduled = [
        (function, event["Properties"])
        for function in FUNCTIONS
        for event in template["Resources"][logical(function)]["Properties"].get("Events", {}).values()
        if event["Type"] != "HttpApi"
    ]
    check("schedules", [function for function, _ in scheduled], ["vacuum"])
    # With an input of its own the event would have no `source` and `detail-type`, and be a direct invocation.
    check("the schedule sends EventBridge's own event", "Input" in scheduled[0][1], False)


def check_permissions(template: dict, expanded: dict) -> None:
    table = {"Fn::GetAtt": "Table.Arn"}, {"Fn::GetAtt": ["Table", "Arn"]}
    stamped = set(re.findall(r'"(\w+)"\.to_owned\(\),', re.search(r"fn first_item.*?\n    }\n", COUNTER_RS, re.S)[0]))
    # `recount` of a new table's tally.
    stamped |= {"entries", "counted"}
    check("functions with a list of actions", set(ALLOWED), set(FUNCTIONS))
    for function in FUNCTIONS:
        policies = template["Resources"][logical(function)]["Properties"].get("Policies", [])
        actions, indexes, key, embedder = set(), set(), set(), {}
        written_out = [policy for policy in policies if isinstance(policy, dict) and "Statement" in policy]
        check(f"{function}: policies are written out", written_out, policies)
        for statement in (statement for policy in written_out for statement in policy["Statement"]):
            if "Fn::If" in statement:
                condition, statement, otherwise = statement["Fn::If"]
                if condition in BOTH:
                    embedder[condition] = (set(as_list(statement["Action"])), statement["Resource"].get("Ref"))
                    continue
                check(f"{function}: key", (condition, otherwise), ("OwnTableKey", {"Ref": "AWS::NoValue"}))
                check(f"{function}: key's resource", statement["Resource"], {"Ref": "TableKeyArn"})
                check(f"{function}: key through DynamoDB", "kms:ViaService" in statement["Condition"]["StringEquals"])
                key.update(as_list(statement["Action"]))
                continue
            check(f"{function}: effect", statement["Effect"], "Allow")
            named = {action.removeprefix("dynamodb:") for action in as_list(statement["Action"])}
            if named == {"Query"}:
                indexes.update(r["Fn::Sub"].removeprefix("${Table.Arn}/index/") for r in as_list(statement["Resource"]))
                continue
            check(f"{function}: resource", statement["Resource"] in table)
            if "Condition" in statement:
                check(f"{function}: what it stamps with", named, {"UpdateItem"})
                attributes = statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"]
                check(f"{function}: what it stamps", set(attributes), stamped)
                named = {"Stamp"}
            actions |= named
        check(f"{function}: actions on the table and indexes", (actions, indexes), ALLOWED[function])
        check(f"{function}: what it embeds with", embedder, EMBEDDING.get(function, {}))
        writes = actions & {"PutItem", "UpdateItem", "DeleteItem"}
        check(f"{function}: actions on the key", key, (KEY_WRITE if writes else KEY_READ) if actions else set())
    elements = {"Action", "Resource", "NotAction", "NotResource"}
    stars = [
        "/".join(map(str, path))
        for path, value in walk(template["Resources"])
        if elements & set(map(str, path)) and isinstance(value, str) and "*" in value
    ]
    check("wildcards", stars, [])
    roles = {name: r["Properties"] for name, r in expanded["Resources"].items() if r["Type"] == "AWS::IAM::Role"}
    for function in FUNCTIONS:
        managed = {str(arn).split("/")[-1] for arn in roles[f"{logical(function)}Role"].get("ManagedPolicyArns", [])}
        check(f"{function}: managed policies beside SAM's own", managed - SAMS_OWN, set())


def check_table(template: dict) -> None:
    resource = template["Resources"]["Table"]
    table = resource["Properties"]
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        check(policy, resource[policy], "Retain")
    attributes = dict(re.findall(r'attribute\("(\w+)", ScalarAttributeType::(\w)\)', SCHEMA_RS))
    check("attributes", {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}, attributes)
    [hash_key] = re.findall(r'\.key_schema\(key\("(\w+)", KeyType::Hash\)', SCHEMA_RS.split("create_table()")[1])
    check("key", table["KeySchema"], [{"AttributeName": hash_key, "KeyType": "HASH"}])
    names = {"HASH_INDEX": HASH, "LRU_INDEX": LRU}
    sort_keys = {
        names[name]: key for name, key in re.findall(r'global_secondary_indexes\(index\((\w+), "(\w+)"', SCHEMA_RS)
    }
    [partition] = re.findall(r'\.key_schema\(key\("(\w+)", KeyType::Hash\)', SCHEMA_RS.split("create_table()")[0])
    indexes = {index["IndexName"]: index for index in table["GlobalSecondaryIndexes"]}
    check("indexes", set(indexes), set(sort_keys))
    for name, index in indexes.items():
        keys = [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]]
        check(f"{name}: keys", keys, [(partition, "HASH"), (sort_keys[name], "RANGE")])
        check(f"{name}: projection", index["Projection"], {"ProjectionType": {"Ref": "IndexProjection"}})
        check(f"{name}: capacity", index["ProvisionedThroughput"], table["ProvisionedThroughput"])
    [ttl] = re.findall(r'TTL_ATTRIBUTE: &str = "(\w+)"', SCHEMA_RS)
    check("TTL", table["TimeToLiveSpecification"], {"AttributeName": ttl, "Enabled": True})
    recovery = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 35}
    check("recovery", table["PointInTimeRecoverySpecification"], recovery)
    check("deletion protection", table["DeletionProtectionEnabled"])
    check("encryption", table["SSESpecification"]["SSEEnabled"])
    check("billing", table["BillingMode"], {"Ref": "BillingMode"})
    check("projections", template["Parameters"]["IndexProjection"]["AllowedValues"], ["KEYS_ONLY", "ALL"])


def watched_metrics(alarm: dict) -> set[tuple[str, str, str]]:
    """Metric, the value of its first dimension as JSON, and statistic, of all that an alarm looks at."""
    if "Metrics" not in alarm:
        statistic = alarm.get("Statistic", alarm.get("ExtendedStatistic"))
        return {(alarm["MetricName"], json.dumps(alarm["Dimensions"][0]["Value"]), statistic)}
    stats = [metric["MetricStat"] for metric in alarm["Metrics"] if "MetricStat" in metric]
    return {(s["Metric"]["MetricName"], json.dumps(s["Metric"]["Dimensions"][0]["Value"]), s["Stat"]) for s in stats}


def check_monitoring(template: dict) -> None:
    resources = template["Resources"]
    alarms = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
    watched = {metric for alarm in alarms.values() for metric in watched_metrics(alarm)}
    for function in FUNCTIONS:
        name = json.dumps({"Fn::Sub": f"${{AWS::StackName}}-{function}"})
        check(f"{function}: throttles alarm", ("Throttles", name, "Sum") in watched)
        # `snapshot` always answers with an error; the others read the whole table, and take their time.
        check(f"{function}: p99 alarm", ("Duration", name, "p99") in watched, function not in UNTIMED)
        errors = alarms.get(f"{function.capitalize()}Errors")
        check(f"{function}: errors alarm", errors is not None, function != "snapshot")
        rollback = resources[logical(function)]["Properties"].get("DeploymentPreference", {}).get("Alarms")
        if errors is not None:
            found = watched_metrics(errors)
            check(f"{function}: errors", found, {(m, name, "Sum") for m in ("Failures", "Refusals", "Errors")})
            alarm = {"Fn::If": ["Monitored", [{"Ref": f"{function.capitalize()}Errors"}], [{"Ref": "AWS::NoValue"}]]}
            check(f"{function}: rollback", rollback, alarm)
    check("conflicts alarm", {m for m, _, _ in watched_metrics(alarms["CounterConflicts"])}, {"TransactionConflict", "LostRaces"})
    check("HTTP alarm", {m for m, _, _ in watched_metrics(alarms["ApiFailures"])}, {"5xx"})
    throttles = {m for name in ("TableReadThrottles", "TableWriteThrottles") for m, _, _ in watched_metrics(alarms[name])}
    check("throttles of the table", throttles, {"ReadThrottleEvents", "WriteThrottleEvents"})
    dashboard = json.loads(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    shown = [metric for widget in dashboard["widgets"] for metric in widget["properties"]["metrics"]]
    ours = {metric[1] for metric in shown if metric[0] == "mneme"}
    check("metrics of ours that the code does not write", ours - set(re.findall(r'"([A-Z]\w+)"', REPORT_RS)), set())
    check("metrics of ours on the dashboard", {"HitsExact", "HitsSemantic", "Similarity", "LostRaces"} <= ours)


def check_outputs(template: dict) -> None:
    expected = {f"{function.capitalize()}FunctionName" for function in FUNCTIONS} | {"ApiUrl", "TableName"}
    check("outputs that are missing", expected - set(template["Outputs"]), set())


def main() -> int:
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    logging.disable(logging.WARNING)
    text = (ROOT / "template.yaml").read_text()
    template, expanded = yaml_parse(text), expand(yaml_parse(text))
    check_functions(template)
    check_settings(template)
    check_routes(template, expanded)
    check_schedule(template)
    check_permissions(template, expanded)
    check_table(template)
    check_monitoring(template)
    check_outputs(template)
    print(f"{results['passed']} passed, {results['failed']} failed")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
