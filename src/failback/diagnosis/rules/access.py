"""Rights and keys: cloud APIs that refuse an action, databases that refuse a statement, clients that find no credentials."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_DENIED = FailureType.RBAC_FORBIDDEN
_AUTH = FailureType.DEPENDENCY_AUTH
_MISSING = FailureType.MISSING_CONFIGURATION


@line_rule(
    "cloud-denied",
    "not authorized to perform|accessdenied|access denied) when|unauthorizedoperation|authorizationfailed|permission_denied|does not have storage.|does not have permission|denied on resource|permission for|does not have authorization|authorizationpermissionmismatch|resource not accessible by|insufficient_scope|insufficientpermissions|access_denied|statuscode: 403|status code: 403|accessdeniedexception|caller does not have permission|when calling the",
    r"(?P<who>User|Principal)?:? ?(?P<arn>arn:aws\S*)? ?is not authorized to perform: (?P<action>[\w:*-]+)(?: on resource: \"?(?P<res>[^\s\"]+)\"?)?|An error occurred \((?P<code>AccessDenied\w*|UnauthorizedOperation|AuthorizationError|Forbidden|403)\) when calling the (?P<op>\w+) operation|operation error (?P<svc>[\w ]+): (?P<op2>\w+),[^\n]*(?:StatusCode: 403|AccessDenied)"
    r"|Permission '(?P<gperm>[\w.]+)' denied on resource '?(?P<gres>[^\s']+)|(?P<gwho>[\w.-]+@[\w.-]+) does not have (?P<gperm2>[\w.]+) access to (?:the )?(?P<gres2>.{0,80})|Required '?(?P<gperm3>[\w.]+)'? permission for '?(?P<gres3>[^\s']+)|client '(?P<az>[^']+)'[^\n]*does not have authorization to perform action '(?P<azact>[^']+)' over scope '(?P<azscope>[^']+)'|(?P<gh>Resource not accessible by (?:integration|personal access token))|AuthorizationPermissionMismatch|PERMISSION_DENIED:? ?(?P<grpc>.*)|(?:AccessDenied|AccessDeniedException|AuthorizationFailed|InsufficientPermissions)\b",
    source="AWS IAM, Google Cloud IAM, Azure RBAC, GitHub: the action, the principal and the resource in their answers",
)
def cloud(hit: Hit) -> Hypothesis | None:
    """A cloud API refuses an action on a resource for a principal: its own sentence names all three."""
    if "java.nio" in hit.line or "access to the path" in hit.line.lower():
        return None
    around = hit.document.window(hit.index, 0, 1)
    operation = hit.get("op") or hit.get("op2")
    action = hit.get("action") or hit.get("gperm") or hit.get("gperm2") or hit.get("gperm3") or hit.get("azact")
    if not action and operation:
        action = operation
    resource = hit.get("res") or hit.get("gres") or hit.get("gres2") or hit.get("gres3") or hit.get("azscope")
    who = hit.get("arn") or hit.get("gwho") or hit.get("az")
    named = re.search(r"not authorized to perform: ([\w:*-]+)(?: on resource: \"?([^\s\"]+))?", around)
    if named:
        action, resource = named.group(1), resource or named.group(2) or ""
    user = re.search(r"arn:aws\S*?:(?:user|assumed-role|role)/\S+", around)
    who = who or (user.group(0) if user else "")
    trust = " and the role's trust policy must allow this principal" if "AssumeRole" in action else ""
    policy = (
        f'{{"Effect": "Allow", "Action": "{action or "SERVICE:ACTION"}", "Resource": "{resource.rstrip(".,") or "*"}"}}'
    )
    grant = (
        f"gcloud projects add-iam-policy-binding PROJECT --member=serviceAccount:{who or 'ACCOUNT'} --role=ROLE_WITH_{action}"
        if hit.get("gwho") or hit.get("gperm") or hit.get("gperm3")
        else f"az role assignment create --assignee {who} --role ROLE --scope {resource}"
        if hit.get("azact")
        else policy
    )
    return Hypothesis(
        _DENIED,
        f"The cloud API refuses access (denied, not authorized): {who or 'the principal'} may not {action or 'do this'}{f' on {resource}' if resource else ''}{hit.at}: {quoted(around if named else hit.line, 340)}",
        0.95 if action else 0.84,
        (
            high(
                f"Grant {action or 'the action'}{f' to {who}' if who else ''}",
                f"Add a policy or role that allows {action or 'what the message names'}{f' on {resource}' if resource else ''}{f' to {who}' if who else ' to the identity that the step or service runs as'} (attach it to the user, role or service account){trust}",
                grant,
            ),
            medium("See which identity was used", "A wrong profile or a missing role looks the same", "aws sts get-caller-identity   # gcloud auth list; az account show"),
        ),
        names=tuple(part for part in (action, resource.rsplit("/", 1)[-1], who.rsplit("/", 1)[-1]) if len(part) > 3),
        facts={"action": action, "resource": resource, "principal": who},
    )  # fmt: skip


STATEMENTS = (
    row(
        "sql-permission",
        "permission denied for |command denied to user|permission was denied|to database '|ora-01031|insufficient privileges|must be owner of|must be superuser",
        r"permission denied for (?P<what>table|relation|schema|sequence|database|function|view|tablespace|type|language) \"?(?P<obj>[\w.$-]+)\"?|(?P<cmd>\w+(?: \w+)?) command denied to user '?(?P<user>[^'@\s]*)'?@\S+ for (?P<w2>table|column|routine) [`']?(?P<o2>[\w.`]+)|Access denied for user '(?P<u3>[^']*)'@'[^']*' to database '(?P<db>[^']+)'|The (?P<verb>\w+) permission was denied on the (?:object|column) '(?P<o4>[^']+)'|ORA-01031[^\n]*|must be (?:owner of \w+ (?P<o5>\S+)|superuser[^\n]*)",
        _AUTH,
        "The database refuses a statement: the user {user}{u3} lacks the privilege {cmd}{verb} on {what} {obj}{o2}{db}{o4}{o5} (permission denied)",
        "Grant the privilege on {obj}{o2}{db}{o4}{o5}",
        "Give the database user {user}{u3} that the service logs in as the right (GRANT {cmd}{verb}) on {what} {obj}{o2}{db}{o4}{o5}, or log in as the user that owns it",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON {obj}{o2}{o4}{o5} TO service_user;",
        source="PostgreSQL 42501, MySQL 1044/1142/1143, SQL Server 229, ORA-01031",
        sure=0.95,
    ),
    row(
        "broker-permission",
        "noperm|no permissions to|not authorized on|topic_authorization|not authorized to access|topicauthorization|groupauthorization|access to exchange|access to queue|access to vhost|refused for user|security_exception|is unauthorized for user|configure access|not_allowed|cluster_authorization_failed|group_authorization_failed",
        r"NOPERM(?P<redis>[^\n]*)|no permissions to (?:run the '(?P<rcmd>[^']+)' command|access (?P<racc>[^\n]*))|not authorized on (?P<mdb>\S+) to execute command(?P<mcmd>[^\n]{0,80})|Not authorized to access (?P<kafka>topics?|group|cluster)s?:? ?\[?(?P<kname>[^\]\n]*)|(?:TOPIC|GROUP|CLUSTER)_AUTHORIZATION_FAILED|access to (?P<mqw>exchange|queue|vhost|topic) '(?P<mq>[^']*)'(?: in vhost '[^']*')? refused for user '(?P<mqu>[^']*)'|action \[(?P<es>[^\]]+)\] is unauthorized for user \[(?P<esu>[^\]]+)\]",
        _AUTH,
        "The server knows the user {mqu}{esu} but refuses the operation (no permission, ACL): {rcmd}{racc}{mdb} {kafka} {kname}{mqw} {mq}{es}",
        "Grant the permission (ACL) for {rcmd}{racc}{mdb}{kname}{mq}{es}",
        "Allow the service's user {mqu}{esu} this command, topic, queue or database on the server (set or add an ACL, role or permission), or use the user that has it",
        "ACL SETUSER app +{rcmd} ~*   # Kafka: kafka-acls --add --allow-principal User:app --operation Read --topic {kname}; RabbitMQ: rabbitmqctl set_permissions -p / {mqu} '.*' '.*' '.*'",
        source="Redis NOPERM, MongoDB 13, Kafka authorization errors, RabbitMQ ACCESS_REFUSED, Elasticsearch security_exception",
        sure=0.95,
    ),
    row(
        "no-credentials",
        "unable to locate credentials|could not load credentials|novalidproviders|no valid providers|nocredentialproviders|default credentials|defaultazurecredential|credentialunavailable|no credentials|credentials were not found|unable to load credentials|unable to load aws credentials|not logged in|no ec2 imds role|please run 'az login'|do not currently have an active account|missing credentials|failed to refresh cached credentials",
        r"Unable to locate credentials|Could not load credentials from any providers|NoCredentialProviders|no valid providers in chain|[Dd]efault credentials (?:were not found|could not be|not found)|could not find default credentials|DefaultAzureCredential[^\n]*|CredentialUnavailable\w*|Unable to load (?:AWS )?credentials[^\n]*|no EC2 IMDS role found|Missing credentials in config|do not currently have an active account selected|Please run 'az login'|failed to refresh cached credentials|no credentials (?:were )?(?:found|provided|available)",
        _MISSING,
        "No cloud credentials are configured (they were not found: not set, missing)",
        "Provide credentials to the service or step",
        "Set the credentials where it runs: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or an IAM role for the service account, GOOGLE_APPLICATION_CREDENTIALS, AZURE_CLIENT_ID and its secret; or add a workload identity",
        "AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...   # better: a role (IRSA, workload identity)",
        source="AWS SDKs' provider chains, Google's application default credentials, DefaultAzureCredential",
        sure=0.93,
        unless=r"registry|docker|manifest",
    ),
    row(
        "no-region-or-project",
        "region|project|the required property",
        r"You must specify a region|NoRegionError|Missing region in config|MissingRegion|could not find region|Region is missing|Unable to find a region|region(?:_name)? (?:must be|is) (?:specified|set|required|missing)|The required property \[(?P<prop>[^\]]+)\] is not currently set|Project (?:ID )?(?:was not passed|could not be determined|is required|must be specified|not found in)[^\n]*|Unable to detect a Project Id|Invalid region: region was not a valid DNS name",
        _MISSING,
        "The cloud client has no region or project configured (not set, missing, must be specified) {prop}",
        "Set the region (or project) {prop}",
        "Define AWS_REGION and AWS_DEFAULT_REGION (Google: GOOGLE_CLOUD_PROJECT / gcloud config set) in the environment of the service or step, or pass it to the client",
        "AWS_REGION=eu-central-1 AWS_DEFAULT_REGION=eu-central-1",
        source="AWS SDKs' NoRegion errors, gcloud properties",
        sure=0.94,
        unless=r"memory region|shared memory",
    ),
    row(
        "api-key-missing",
        "api key|api_key|apikey|authenticator|no secret key|secret or key|secretorprivatekey|secret or public key must be provided|secret option required",
        r"(?:did not provide|didn't provide|must provide|No|missing|requires?|without) (?:an? |your |the )?(?:valid )?API[ _]?key[^\n]*|api_?key (?:client option )?(?:must be set|is required|is missing|not set|not provided)[^\n]*|Neither apiKey nor config\.authenticator provided|secretOrPrivateKey must have a value|secret or public key must be provided|secret option required|no secret key was set[^\n]*",
        _MISSING,
        "A key that a client library needs is not set (missing)",
        "Set the key in the environment",
        "Define the API key or secret that the message names in the service's Secret or environment, and pass it to the client {place}",
        "API_KEY=...   # from a Secret",
        source="clients of hosted APIs (OpenAI, Stripe, SendGrid), JWT and session libraries",
        sure=0.88,
    ),
    row(
        "aws-credentials-refused",
        "invalidclienttokenid|unrecognizedclient|signaturedoesnotmatch|expiredtoken|token included in the request|access key id you provided|invalid_grant|aadsts|invalid jwt signature|token has expired|token is expired|reauthentication",
        r"InvalidClientTokenId|UnrecognizedClientException|SignatureDoesNotMatch|ExpiredToken\w*|security token included in the request is (?:invalid|expired)|Access Key Id you provided does not exist|invalid_grant[^\n]*|AADSTS\d+[^\n]*|Invalid JWT Signature|(?:refresh|access|id)? ?token (?:has|is) expired|Reauthentication (?:required|failed)",
        _AUTH,
        "The cloud or identity provider refuses the credentials (key, token or signature invalid or expired)",
        "Renew the credentials",
        "Replace the key, token or client secret by a valid one (rotate it, check the clock of the host, use a role instead of a static key) in the Secret or environment",
        "aws sts get-caller-identity   # with the same environment",
        source="AWS STS, OAuth 2.0 token endpoints, Microsoft Entra ID",
        sure=0.92,
    ),
)
