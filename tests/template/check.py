"""Checks template.yaml against the contract: routes, permissions, schema, settings, alarms.

Usage: python check.py CONTRACT, the output of `mneme-local contract --json`.

expand.py expands the template's loops, and SAM's own translator expands its resources. The checks of single resources
read the template between the two steps.
"""

import copy
import json
import logging
import os
import re
import sys
from pathlib import Path

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from expand import expanded

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = json.loads(Path(sys.argv[1]).read_text())
OPERATIONS = {operation["name"]: operation for operation in CONTRACT["operations"]}
ROUTES = {
    f"{route['method']} {route['path']}": name
    for name, operation in OPERATIONS.items()
    for route in operation["routes"]
}

API_KEY_ACTIONS = {"secretsmanager:GetSecretValue", "ssm:GetParameter"}
# The permissions that an operation needs for each embedder that it calls. Each condition of a statement is mapped to
# the statement's actions and to the parameter that is its resource.
EMBEDDER_PERMISSIONS = {
    "active": {
        "OnBedrock": ({"bedrock:InvokeModel"}, "EmbedderModelArns"),
        "WithApiKey": (API_KEY_ACTIONS, "EmbedderApiKeyArn"),
        "OwnApiKeyKey": ({"kms:Decrypt"}, "EmbedderApiKeyKeyArn"),
    },
    "next": {"WithNextApiKey": (API_KEY_ACTIONS, "EmbedderNextApiKeyArn")},
}
EMBEDDER_CONDITIONS = set().union(*EMBEDDER_PERMISSIONS.values())
# The permissions for the upstream, in the same form.
UPSTREAM_PERMISSIONS = {
    "OnBedrockUpstream": ({"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"}, "UpstreamModelArns"),
    "WithUpstreamKey": (API_KEY_ACTIONS, "UpstreamApiKeyArn"),
}
KEY_READ = {"kms:Decrypt", "kms:DescribeKey"}
KEY_WRITE = KEY_READ | {"kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
# The policies that SAM gives every function: for its logs, and for X-Ray, whose actions have no resources.
# With a VpcConfig it adds the one for network interfaces, whatever the condition of the VpcConfig is.
MANAGED_BY_SAM = {
    "AWSLambdaBasicExecutionRole",
    "AWSLambdaVPCAccessExecutionRole",
    "AWSXrayWriteOnlyAccess",
    "AWSXRayDaemonWriteAccess",
}

# For each parameter: values that the functions accept, and values that they refuse at start.
WHOLE = ["", "1", "1000"], ["0", "-1", "1.5", "x"]
EMBEDDERS = (
    ["", "none", "minilm", "bedrock:amazon.titan-embed-text-v2:0:512", "openai:m@https://api.openai.com/v1"],
    ["titan", "openai:m", "bedrock:", "minilm:7"],
)
KEY_ARNS = (
    [
        "",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:key-AbCdEf",
        "arn:aws:ssm:eu-west-1:123456789012:parameter/key",
    ],
    ["sk-a-key-itself", "arn:aws:s3:::bucket"],
)
PATTERNS = [
    ("EmbedderDim", *WHOLE),
    ("EmbedderNextDim", *WHOLE),
    ("EmbedderMaxTokens", ["", "16", "99", "512", "128000"], ["0", "15", "-1", "1.5", "x"]),
    ("EmbedderNextMaxTokens", ["", "16", "99", "512", "128000"], ["0", "15", "-1", "1.5", "x"]),
    ("VolatileTtlSecs", *WHOLE),
    ("DefaultTtlSecs", *WHOLE),
    ("MaxEntries", *WHOLE),
    ("MetricNamespaces", ["", "0", "20", "1000"], ["1001", "-1", "many"]),
    ("Prices", ["", "gpt-x=2.5/10", "a:0=1/2,b/c=0.1/0"], ["gpt-x", "a=1", "a=1/b", "=1/2", "a=1/2,"]),
    ("SimilarityThreshold", ["", "0.85", "-1", "1", "-0.5", "1.0"], ["2", "..", "-", "1.5", "85"]),
    ("ConfidenceCutoff", ["", "0", "0.7", "1"], ["7", "-0.1", ".", "1.1"]),
    ("Embedder", *EMBEDDERS),
    ("EmbedderNext", *EMBEDDERS),
    ("EmbedderApiKeyArn", *KEY_ARNS),
    ("EmbedderNextApiKeyArn", *KEY_ARNS),
    ("Upstream", ["", "bedrock", "https://api.openai.com/v1", "http://model.internal:8000/v1"], ["openai", "ftp://a/v1"]),
    ("UpstreamApiKeyArn", *KEY_ARNS),
    ("UpstreamTimeoutMs", *WHOLE),
    ("ChatBudgetMs", *WHOLE),
    ("ChatWaitMs", ["", "0", "10000", "900000"], ["-1", "1.5", "x", "900001", "1000000"]),
    ("ChatKeys", ["", "[]", '[{"name": "web", "sha256": "00"}]'], ["any", "sk-a-key-itself"]),
    ("SubnetIds", ["", "subnet-0a1b", "subnet-0a1b,subnet-2c3d"], ["vpc-0a1b", "subnet-0a1b,", "subnet-0a1b subnet-2c3d"]),
    ("SecurityGroupIds", ["", "sg-0a1b", "sg-0a1b,sg-2c3d"], ["subnet-0a1b", "sg-"]),
    (
        "PermissionsBoundaryArn",
        ["", "arn:aws:iam::123456789012:policy/team/b", "arn:aws:iam::aws:policy/PowerUserAccess"],
        ["boundary", "arn:aws:iam::123456789012:role/r"],
    ),
    ("ConfidenceHalfLifeSecs", ["", "3600", "86400.5"], ["0", "-1", "x"]),
]
# The functions that may read the whole table or embed many texts.
SCANS = {"list", "namespaces", "stats", "clear", "vacuum", "calibrate", "reembed"}
# The functions without an alarm on their duration.
WITHOUT_DURATION_ALARM = {"chat", "clear", "console", "provision", "reembed", "snapshot", "vacuum"}

# An alarm by metric math has at most this many metrics (CloudWatch, "Limits").
MAX_ALARM_METRICS = 10

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


def translated(template: dict) -> dict:
    """The template as CloudFormation gets it, with SAM's resources expanded. Leaves `template` unchanged."""
    template = copy.deepcopy(template)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    session = boto3.Session(region_name="us-east-1")
    return Translator({}, Parser(), boto_session=session).translate(template, defaults)


def check_inventory(template: dict) -> None:
    """Each operation has a function and a log group. The other checks rely on that."""
    ids = {}
    for name, resource in template["Resources"].items():
        ids.setdefault(resource["Type"], set()).add(name)
    check("functions", ids["AWS::Serverless::Function"], {logical(function) for function in OPERATIONS})
    log_groups = {f"{function.capitalize()}Logs" for function in OPERATIONS} | {"AccessLogs"}
    check("log groups", ids["AWS::Logs::LogGroup"], log_groups)


def check_functions(template: dict) -> None:
    defaults = template["Globals"]["Function"]
    check("runtime", defaults["Runtime"], "provided.al2023")
    check("handler", defaults["Handler"], "bootstrap")
    check("architecture", defaults["Architectures"], [{"Ref": "Architecture"}])
    check("tracing", defaults["Tracing"], "Active")
    check("alias", defaults["AutoPublishAlias"], "live")
    check("code", defaults["CodeUri"], ".")
    vpc = {"SubnetIds": {"Fn::Split": [",", {"Ref": "SubnetIds"}]}}
    vpc["SecurityGroupIds"] = {"Fn::Split": [",", {"Ref": "SecurityGroupIds"}]}
    check("VPC", defaults["VpcConfig"], {"Fn::If": ["InVpc", vpc, {"Ref": "AWS::NoValue"}]})
    boundary = {"Fn::If": ["Bounded", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
    check("permissions boundary", defaults["PermissionsBoundary"], boundary)
    # These change no function, but how it is deployed, and its role.
    unversioned = {"DeploymentType", "PermissionsBoundaryArn"}
    for function in OPERATIONS:
        resource = template["Resources"][logical(function)]
        properties = resource["Properties"]
        check(f"{function}: name", properties["FunctionName"], {"Fn::Sub": f"${{AWS::StackName}}-{function}"})
        # A `SamResourceId` would keep `sam build` from writing the path of the built function into the template: with
        # language extensions, SAM's CLI 1.170 finds built functions by their logical ids only.
        metadata = {"BuildMethod": "rust-cargolambda", "BuildProperties": {"Binary": f"mneme-{function}"}}
        check(f"{function}: metadata", resource["Metadata"], metadata)
        check(f"{function}: package", (ROOT / f"functions/{function}/src/main.rs").exists())
        logs = template["Resources"][properties["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
        group = {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}-{function}"}
        check(f"{function}: log group", logs["LogGroupName"], group)
        check(f"{function}: retention", logs["RetentionInDays"], {"Ref": "LogRetentionDays"})
        # A changed parameter makes a new version of the function only through the number of the settings.
        numbered = {"Fn::Sub": "settings ${Settings.VersionNumber}"}
        check(f"{function}: version's description", properties["VersionDescription"], numbered)
        used = parameters_in([defaults, properties.get("MemorySize"), properties.get("Layers")], template)
        described = parameters_in(template["Resources"]["Settings"]["Properties"]["Content"], template)
        check(f"{function}: parameters that the settings lack", used - described, unversioned)
        limit = {"Fn::If": ["LimitScans", {"Ref": "ScanConcurrency"}, {"Ref": "AWS::NoValue"}]}
        check(f"{function}: concurrency", properties.get("ReservedConcurrentExecutions"), limit if function in SCANS else None)
        layers = {"Fn::If": ["WithMinilmLayer", [{"Ref": "MinilmLayerArn"}], {"Ref": "AWS::NoValue"}]}
        check(f"{function}: layer", properties.get("Layers"), layers if OPERATIONS[function]["embedders"] else None)


def check_settings(template: dict) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    known = {variable["name"] for variable in CONTRACT["variables"]}
    check("variables that the functions do not read", set(variables) - known, set())
    check("the functions create no table", variables["MNEME_CREATE_TABLE"], "false")
    check("the functions use the table", variables["MNEME_TABLE_NAME"], {"Ref": "Table"})
    for name, fits, not_fits in PATTERNS:
        pattern = re.compile(template["Parameters"][name]["AllowedPattern"])
        bad = [v for v in fits if not pattern.fullmatch(v)] + [v for v in not_fits if pattern.fullmatch(v)]
        check(f"{name}: values that its pattern judges wrongly", bad, [])
    used = parameters_in([template["Globals"], template["Resources"], template["Conditions"], template["Rules"]], template)
    check("unused parameters", set(template["Parameters"]) - used, set())


def holds(condition: object, values: dict) -> object:
    """The value of a rule's function, given the values of the parameters."""
    if not isinstance(condition, dict):
        return condition
    [(name, arguments)] = condition.items()
    if name == "Ref":
        return values[arguments]
    arguments = [holds(argument, values) for argument in arguments]
    match name:
        case "Fn::And":
            return all(arguments)
        case "Fn::Or":
            return any(arguments)
        case "Fn::Not":
            return not arguments[0]
        case "Fn::Equals":
            return arguments[0] == arguments[1]
        case "Fn::Contains":
            return arguments[1] in arguments[0]
        case "Fn::EachMemberEquals":
            return all(member == arguments[1] for member in arguments[0].split(","))
    raise ValueError(f"{name} is not a function of rules")


def broken_rules(template: dict, changed: dict) -> set[str]:
    """The rules that refuse the default parameters with the `changed` ones among them."""
    values = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()} | changed
    return {
        name
        for name, rule in template["Rules"].items()
        if holds(rule.get("RuleCondition", True), values)
        and not all(holds(assertion["Assert"], values) for assertion in rule["Assertions"])
    }


def check_rules(template: dict) -> None:
    openai = "openai:m@https://api.openai.com/v1"
    bedrock = {"Embedder": "bedrock:amazon.titan-embed-text-v2:0", "EmbedderModelArns": "arn"}
    upstream_key = {"UpstreamApiKeyArn": "arn"}
    layer, key, jwt = {"MinilmLayerArn": "arn"}, {"EmbedderApiKeyArn": "arn"}, {"JwtIssuer": "i", "JwtAudience": "a"}
    accepted = [
        {},
        {"Embedder": "minilm", **layer},
        {"EmbedderNext": "minilm", **layer},
        bedrock,
        {"Embedder": openai, "EmbedderWithoutCredentials": "true"},
        {"Embedder": openai, **key, "EmbedderApiKeyKeyArn": "arn"},
        {"EmbedderNext": openai, "EmbedderNextApiKeyArn": "arn", "EmbedderApiKeyKeyArn": "arn"},
        {"EmbedderNext": openai, "EmbedderWithoutCredentials": "true"},
        {"Upstream": "bedrock", "UpstreamModelArns": "arn"},
        {"Upstream": "https://api.openai.com/v1", **upstream_key},
        {"SubnetIds": "subnet-0a1b", "SecurityGroupIds": "sg-0a1b"},
        {**jwt, "NamespaceClaim": "c", "ScopeClaim": "scope"},
    ]
    for parameters in accepted:
        check(f"rules that refuse {parameters}", broken_rules(template, parameters), set())
    refused = [
        ({"Embedder": "minilm"}, "MinilmNeedsItsLayer"),
        ({"EmbedderNext": "minilm"}, "MinilmNeedsItsLayer"),
        ({"Embedder": openai}, "EmbedderNeedsPermission"),
        ({"Embedder": "bedrock:amazon.titan-embed-text-v2:0"}, "EmbedderNeedsPermission"),
        ({"EmbedderNext": openai}, "NextEmbedderNeedsPermission"),
        (key, "ApiKeyNeedsAnEmbedder"),
        ({"Embedder": "minilm", **layer, **key}, "ApiKeyNeedsAnEmbedder"),
        ({"Embedder": openai, **key, "EmbedderNextApiKeyArn": "arn"}, "NextApiKeyNeedsAnEmbedder"),
        ({**bedrock, "EmbedderApiKeyKeyArn": "arn"}, "KeyOfApiKeysNeedsAnApiKey"),
        ({"Upstream": "bedrock"}, "BedrockUpstreamNeedsItsModels"),
        ({"Upstream": "bedrock", "UpstreamModelArns": "arn", **upstream_key}, "BedrockUpstreamNeedsItsModels"),
        ({"SubnetIds": "subnet-0a1b"}, "SubnetsNeedSecurityGroups"),
        ({"SecurityGroupIds": "sg-0a1b"}, "SubnetsNeedSecurityGroups"),
        ({"JwtIssuer": "i"}, "JwtNeedsIssuerAndAudience"),
        ({"JwtAudience": "a"}, "JwtNeedsIssuerAndAudience"),
        ({"NamespaceClaim": "c"}, "NamespaceClaimNeedsJwt"),
        ({"ScopeClaim": "scope"}, "ScopeClaimNeedsJwt"),
    ]
    for parameters, rule in refused:
        check(f"rules that refuse {parameters}", broken_rules(template, parameters), {rule})
    check("rules without an example", set(template["Rules"]) - {rule for _, rule in refused}, set())


def check_routes(template: dict, stack: dict) -> None:
    events = {
        f"{event['Properties']['Method']} {event['Properties']['Path']}": function
        for function in OPERATIONS
        for event in template["Resources"][logical(function)]["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
    }
    check("routes", events, ROUTES)
    body = stack["Resources"]["Api"]["Properties"]["Body"]
    operations = {f"{m.upper()} {path}": o for path, ms in body["paths"].items() for m, o in ms.items()}
    check("routes of the API", set(operations), set(ROUTES))
    either = {"Fn::If": ["UseJwt", [{"Jwt": []}], [{"Iam": []}]]}
    for route, operation in operations.items():
        is_public = OPERATIONS[ROUTES[route]]["scope"] == "public"
        expected = {"Fn::If": ["OpenConsole", [], either]} if is_public else either
        check(f"{route}: authorisation", operation.get("security"), expected)
        integration = operation.get("x-amazon-apigateway-integration", {})
        check(f"{route}: payload format", integration.get("payloadFormatVersion"), "2.0")
        check(f"{route}: function", f"{{{logical(ROUTES.get(route, '?'))}Aliaslive}}" in str(integration.get("uri")))
    schemes = body["components"]["securitySchemes"]
    check("IAM", schemes["Iam"]["x-amazon-apigateway-authtype"], "awsSigv4")
    condition, jwt, otherwise = schemes["Jwt"]["Fn::If"]
    check("JWT by parameter", (condition, otherwise), ("UseJwt", {"Ref": "AWS::NoValue"}))
    condition, cors, otherwise = body["x-amazon-apigateway-cors"]["Fn::If"]
    check("CORS by parameter", (condition, otherwise), ("WithCors", {"Ref": "AWS::NoValue"}))
    check("CORS", cors["allowOrigins"], {"Ref": "CorsOrigins"})
    check("CORS: methods", set(cors["allowMethods"]) >= {route.split()[0] for route in ROUTES})
    check("JWT", jwt["x-amazon-apigateway-authorizer"]["jwtConfiguration"]["issuer"], {"Ref": "JwtIssuer"})
    [stage] = [r["Properties"] for r in stack["Resources"].values() if r["Type"] == "AWS::ApiGatewayV2::Stage"]
    check("throttling", {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(stage["DefaultRouteSettings"]))
    limited = {route for route, function in ROUTES.items() if function in SCANS}
    check("routes with a throttle of their own", set(stage["RouteSettings"]), limited)
    access_log = json.loads(stage["AccessLogSettings"]["Format"])
    check("access log", {"status", "route", "requestId"} <= set(access_log))


def check_schedule(template: dict) -> None:
    scheduled = [
        (function, event["Properties"])
        for function in OPERATIONS
        for event in template["Resources"][logical(function)]["Properties"].get("Events", {}).values()
        if event["Type"] != "HttpApi"
    ]
    declared = [name for name, operation in OPERATIONS.items() if operation["scheduled"]]
    check("schedules", [function for function, _ in scheduled], declared)
    # With an Input the event would have no `source` and `detail-type`, and would be a direct invocation.
    check("the schedules send EventBridge's own event", [p for _, p in scheduled if "Input" in p], [])


def conditional_statements(policy: dict, condition: str) -> list[tuple[str, dict]]:
    """The statements of a managed policy that exists under `condition`, each with the condition that it depends on."""
    statements = []
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        if "Fn::If" not in statement:
            statements.append((condition, statement))
            continue
        own_condition, statement, otherwise = statement["Fn::If"]
        check("a statement without its condition", otherwise, {"Ref": "AWS::NoValue"})
        statements.append((own_condition, statement))
    for _, statement in statements:
        check("effect of a shared statement", statement["Effect"], "Allow")
    return statements


def check_permissions(template: dict, stack: dict) -> None:
    table = {"Fn::GetAtt": "Table.Arn"}, {"Fn::GetAtt": ["Table", "Arn"]}
    stamped = set(CONTRACT["table"]["provision_attributes"])
    for function in OPERATIONS:
        policies = template["Resources"][logical(function)]["Properties"].get("Policies", [])
        actions, indexes, key, embedder = set(), set(), set(), {}
        for policy in policies:
            if "Fn::If" in policy:
                condition, policy, otherwise = policy["Fn::If"]
                check(f"{function}: otherwise", otherwise, {"Ref": "AWS::NoValue"})
                shared = template["Resources"][policy["Ref"]]
                check(f"{function}: condition of {policy['Ref']}", shared["Condition"], condition)
                for permitted, statement in conditional_statements(shared, condition):
                    named = set(as_list(statement["Action"]))
                    if permitted in EMBEDDER_CONDITIONS | set(UPSTREAM_PERMISSIONS):
                        embedder[permitted] = named, statement["Resource"].get("Ref")
                        continue
                    check(f"{function}: key", permitted, "OwnTableKey")
                    check(f"{function}: key's resource", statement["Resource"], {"Ref": "TableKeyArn"})
                    check(f"{function}: key through DynamoDB", "kms:ViaService" in statement["Condition"]["StringEquals"])
                    key |= named
                continue
            for statement in policy["Statement"]:
                check(f"{function}: effect", statement["Effect"], "Allow")
                named = {action.removeprefix("dynamodb:") for action in as_list(statement["Action"])}
                if named == {"Query"}:
                    resources = as_list(statement["Resource"])
                    indexes.update(resource["Fn::Sub"].removeprefix("${Table.Arn}/index/") for resource in resources)
                    continue
                check(f"{function}: resource", statement["Resource"] in table)
                if "Condition" in statement:
                    check(f"{function}: action of the stamp", named, {"UpdateItem"})
                    attributes = statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"]
                    check(f"{function}: attributes of the stamp", set(attributes), stamped)
                    named = {"Stamp"}
                actions |= named
        operation = OPERATIONS[function]
        check(f"{function}: actions on the table", actions, set(operation["table_actions"]))
        check(f"{function}: indexes it queries", indexes, set(operation["index_queries"]))
        needed = {c: p for role in operation["embedders"] for c, p in EMBEDDER_PERMISSIONS[role].items()}
        if "MNEME_UPSTREAM_API_KEY" in operation["variables"]:
            needed |= UPSTREAM_PERMISSIONS
        check(f"{function}: permissions for embedders and the upstream", embedder, needed)
        writes = actions & {"PutItem", "UpdateItem", "DeleteItem"}
        check(f"{function}: actions on the key", key, (KEY_WRITE if writes else KEY_READ) if actions else set())
    elements = {"Action", "Resource", "NotAction", "NotResource"}
    stars = [
        "/".join(map(str, path))
        for path, value in walk(template["Resources"])
        if elements & set(map(str, path)) and isinstance(value, str) and "*" in value
    ]
    check("wildcards", stars, [])
    roles = {name: r["Properties"] for name, r in stack["Resources"].items() if r["Type"] == "AWS::IAM::Role"}
    for function in OPERATIONS:
        # The template's own managed policies are conditional, and were checked above.
        arns = [arn for arn in roles[f"{logical(function)}Role"].get("ManagedPolicyArns", []) if "Fn::If" not in arn]
        managed = {str(arn).split("/")[-1] for arn in arns}
        boundary = roles[f"{logical(function)}Role"].get("PermissionsBoundary")
        check(f"{function}: boundary", boundary, template["Globals"]["Function"]["PermissionsBoundary"])
        check(f"{function}: managed policies that SAM does not add", managed - MANAGED_BY_SAM, set())


def check_table(template: dict) -> None:
    resource = template["Resources"]["Table"]
    table = resource["Properties"]
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        check(policy, resource[policy], "Retain")
    declared = CONTRACT["table"]
    attributes = {attribute["name"]: attribute["type"] for attribute in declared["key_attributes"]}
    check("attributes", {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}, attributes)
    check("key", table["KeySchema"], [{"AttributeName": declared["key"], "KeyType": "HASH"}])
    keys_by_index = {
        index["name"]: [(index["partition_key"], "HASH"), (index["sort_key"], "RANGE")] for index in declared["indexes"]
    }
    indexes = {index["IndexName"]: index for index in table["GlobalSecondaryIndexes"]}
    check("indexes", set(indexes), set(keys_by_index))
    for name, index in indexes.items():
        keys = [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]]
        check(f"{name}: keys", keys, keys_by_index.get(name))
        check(f"{name}: projection", index["Projection"], {"ProjectionType": {"Ref": "IndexProjection"}})
        check(f"{name}: capacity", index["ProvisionedThroughput"], table["ProvisionedThroughput"])
    check("TTL", table["TimeToLiveSpecification"], {"AttributeName": declared["ttl_attribute"], "Enabled": True})
    recovery = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 35}
    check("recovery", table["PointInTimeRecoverySpecification"], recovery)
    check("deletion protection", table["DeletionProtectionEnabled"])
    check("encryption", table["SSESpecification"]["SSEEnabled"])
    check("billing", table["BillingMode"], {"Ref": "BillingMode"})
    check("projections", template["Parameters"]["IndexProjection"]["AllowedValues"], ["KEYS_ONLY", "ALL"])


def watched_metrics(alarm: dict) -> set[tuple[str, str, str]]:
    """Of each metric of the alarm: its name, the value of its first dimension as JSON, and its statistic."""
    if "Metrics" not in alarm:
        statistic = alarm.get("Statistic", alarm.get("ExtendedStatistic"))
        return {(alarm["MetricName"], json.dumps(alarm["Dimensions"][0]["Value"]), statistic)}
    stats = [metric["MetricStat"] for metric in alarm["Metrics"] if "MetricStat" in metric]
    return {(s["Metric"]["MetricName"], json.dumps(s["Metric"]["Dimensions"][0]["Value"]), s["Stat"]) for s in stats}


def shown_metrics(template: dict) -> list[list]:
    """The metrics on the dashboard, each in full. "..." repeats the values of the metric before it, and "." one."""
    dashboard = json.loads(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    shown = []
    for widget in dashboard["widgets"]:
        previous = []
        for metric in widget["properties"]["metrics"]:
            values = [value for value in metric if isinstance(value, str)]
            if values[0] == "...":
                values = previous[: len(previous) - len(values) + 1] + values[1:]
            values = [previous[at] if value == "." else value for at, value in enumerate(values)]
            shown.append(previous := values)
    return shown


def written_metrics() -> set[str]:
    """The names in the code of the functions that may be metrics: words in quotes, and values of the type Metric."""
    sources = (path for folder in ("shared", "functions") for path in (ROOT / folder).rglob("*.rs"))
    return {word for path in sources for word in re.findall(r'(?:"|\bMetric::)([A-Z]\w+)', path.read_text())}


def check_monitoring(template: dict) -> None:
    resources = template["Resources"]
    alarms = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
    watched = {metric for alarm in alarms.values() for metric in watched_metrics(alarm)}
    for function in OPERATIONS:
        name = json.dumps({"Fn::Sub": f"${{AWS::StackName}}-{function}"})
        check(f"{function}: throttles alarm", ("Throttles", name, "Sum") in watched)
        # `snapshot`, `provision` and `console` do little. The other functions without this alarm may use all their time.
        check(f"{function}: p99 alarm", ("Duration", name, "p99") in watched, function not in WITHOUT_DURATION_ALARM)
        errors = alarms.get(f"{function.capitalize()}Errors")
        check(f"{function}: errors alarm", errors is not None, function != "snapshot")
        rollback = resources[logical(function)]["Properties"].get("DeploymentPreference", {}).get("Alarms")
        if errors is not None:
            found = watched_metrics(errors)
            check(f"{function}: errors", found, {(m, name, "Sum") for m in ("Failures", "Refusals", "Errors")})
            alarm = {"Fn::If": ["Monitored", [{"Ref": f"{function.capitalize()}Errors"}], [{"Ref": "AWS::NoValue"}]]}
            check(f"{function}: rollback", rollback, alarm)
    metrics = {name: sum("MetricStat" in metric for metric in a.get("Metrics", [])) for name, a in alarms.items()}
    check("alarms with too many metrics", {name for name, n in metrics.items() if n > MAX_ALARM_METRICS}, set())
    conflicts = {m for m, _, _ in watched_metrics(alarms["CounterConflicts"])}
    check("conflicts alarm", conflicts, {"TransactionConflict", "LostRaces"})
    rate = {m for m, _, _ in watched_metrics(alarms["HitRate"])}
    check("alarm on the hit rate", rate, {"HitsExact", "HitsSemantic", "Misses"})
    check("metrics of the hit rate that the code does not write", rate - written_metrics(), set())
    check("HTTP alarm", {m for m, _, _ in watched_metrics(alarms["ApiFailures"])}, {"5xx"})
    check("alarm on reads", {m for m, _, _ in watched_metrics(alarms["TableReadUnits"])}, {"ConsumedReadCapacityUnits"})
    table_alarms = [alarms["TableReadThrottles"], alarms["TableWriteThrottles"]]
    throttles = {m for alarm in table_alarms for m, _, _ in watched_metrics(alarm)}
    check("throttles of the table", throttles, {"ReadThrottleEvents", "WriteThrottleEvents"})
    ours = {name for namespace, name, *_ in shown_metrics(template) if namespace == "mneme"}
    check("metrics of ours that the code does not write", ours - written_metrics(), set())
    check("metrics of ours on the dashboard", {"HitsExact", "HitsSemantic", "Similarity", "LostRaces"} <= ours)


def check_outputs(template: dict) -> None:
    names = {f"{function.capitalize()}FunctionName" for function in OPERATIONS}
    expected = names | {"ApiUrl", "ChatBaseUrl", "TableName", "TableArn", "FunctionAlias"}
    check("outputs", set(template["Outputs"]), expected)


def main() -> int:
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    logging.disable(logging.WARNING)
    template = expanded((ROOT / "template.yaml").read_text())
    check_inventory(template)
    if not results["failed"]:
        stack = translated(template)
        check_functions(template)
        check_settings(template)
        check_rules(template)
        check_routes(template, stack)
        check_schedule(template)
        check_permissions(template, stack)
        check_table(template)
        check_monitoring(template)
        check_outputs(template)
    print(f"{results['passed']} passed, {results['failed']} failed")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
