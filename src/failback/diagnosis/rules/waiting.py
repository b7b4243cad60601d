"""Scripts that wait for a service in vain, and answers that are empty."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_UNREACHABLE = FailureType.DEPENDENCY_UNREACHABLE

ROWS = (
    row(
        "waited-in-vain",
        " - no response|rejecting connections|timeout occurred after|waiting on dependencies|timed out waiting for|wait-for|did not become ready|port [tcp|(tcp) failed|timed out: not available|still waiting for|timeout waiting for",
        r"(?P<h1>[\w.-]+):(?P<p1>\d{2,5}) - (?:no response|rejecting connections)|timeout occurred after waiting \d+ seconds for (?P<h2>[\w.-]+):(?P<p2>\d+)|waiting on dependencies to become available: \[?(?P<u>\w+://[^\]\s]+)|[Tt]imed? ?out waiting for:? (?:tcp:|http://|https://|http-get://)?(?P<h3>[\w.-]+):(?P<p3>\d+)|connect to (?P<h4>[\w.-]+)(?: \([\d.]+\))? port (?P<p4>\d+) [(\[]tcp[^)\]]*[)\]] failed",
        _UNREACHABLE,
        "{h1}{h2}{h3}{h4}:{p1}{p2}{p3}{p4}{u} gave no response: it was not reachable (not ready) while the script waited for it",
        "Start the service at {h1}{h2}{h3}{h4}:{p1}{p2}{p3}{p4}{u}, or correct the address (host and port)",
        "Make sure that the database or service listens at {h1}{h2}{h3}{h4}:{p1}{p2}{p3}{p4}{u} and that the network between the two is open; wait longer only where it is known to be slow",
        "nc -zv {h1}{h2}{h3}{h4} {p1}{p2}{p3}{p4}",
        source="pg_isready, wait-for-it, dockerize, wait-on, netcat",
        sure=0.92,
    ),
    row(
        "cluster-unreachable",
        "slots cache|clusterdown|none of the configured nodes|no nodes available|all nodes failed",
        r"ClusterAllFailedError: (?P<a>[^\n]+)|CLUSTERDOWN (?P<b>[^\n]+)|(?:None of the configured nodes (?:are|were)|No nodes) available",
        _UNREACHABLE,
        "No node of the cluster is reachable: {a}{b}",
        "Start the cluster's nodes or correct their addresses (host and port)",
        "Make sure that the nodes (Redis, Elasticsearch) run, that their slots are served, and that the addresses they announce can be reached from here",
        "redis-cli -c -h HOST cluster info",
        source="ioredis, Redis Cluster, Elasticsearch's clients",
        sure=0.93,
    ),
    row(
        "socket-folder-missing",
        "unix socket|unix domain socket|.sock",
        r"(?:[Ff]ailed (?:opening|to (?:open|create|bind|listen))|[Cc](?:ould not|annot) (?:create|bind|open)|bind|listen)[^\n]{0,40}(?:[Uu]nix (?:domain )?socket|(?P<a>/[\w./-]+\.sock))[^\n]*No such file or directory",
        FailureType.MISSING_FILE,
        "The folder of the Unix socket {a} does not exist, so the server cannot bind it",
        "Create the folder of the socket {a} (directory), or correct its path",
        "Create the directory in the image or mount a volume there, owned by the user that the server runs as, or set another path for the socket",
        "RUN install -d -o app /run/app",
        source="bind(2) of AF_UNIX: ENOENT",
        sure=0.92,
    ),
    row(
        "cloud-resource-missing",
        "when calling the",
        r"An error occurred \((?P<code>NoSuch\w+|\w*NotFound\w*|\w*DoesNotExist\w*)\) when calling the (?P<op>\w+) operation(?: \(reached max retries: \d+\))?: (?P<msg>[^\n]+)",
        FailureType.INVALID_CONFIGURATION,
        "The cloud resource that the {op} call names does not exist ({code}): {msg}",
        "Correct the name of the resource (bucket, cluster, function, repository), or create it",
        "{code} of {op}: the name, account or region in the step's configuration is wrong, or the resource (bucket, queue, cluster) was not created there yet",
        "aws sts get-caller-identity; aws configure get region",
        source="botocore's ClientError and the AWS CLI",
        sure=0.9,
        unless=r"Image|ECR|ecr|Manifest",
    ),
    row(
        "cloud-quota",
        "when calling the",
        r"An error occurred \((?P<code>\w*(?:LimitExceeded|QuotaExceeded|TooManyRequests|ServiceQuota\w*)\w*)\) when calling the (?P<op>\w+) operation[^:]*: (?P<msg>[^\n]+)",
        FailureType.QUOTA_EXCEEDED,
        "A quota of the cloud account refuses the {op} call ({code}): {msg}",
        "Raise the quota, or delete what is no longer used",
        "{code} of {op}: ask for a higher quota of the account in this region, or free what old releases still hold",
        "aws service-quotas list-service-quotas --service-code SERVICE",
        source="botocore's ClientError and the AWS CLI",
        sure=0.88,
    ),
    row(
        "answer-empty",
        "empty reply|recv failure|remote end closed connection|socket hang up|server disconnected without",
        r"curl: \(5[26]\) (?P<a>Empty reply from server|Recv failure: Connection reset by peer)|Remote end closed connection without response|Server disconnected without sending a response",
        _UNREACHABLE,
        "The server took the connection and closed it without an answer ({a}): it crashed in the request, is still starting, or speaks another protocol (TLS) on this port",
        "Look at the log of the service at the time of the request",
        "A process that dies in the request, a proxy without a healthy server behind it, or http spoken to an https port gives an empty reply: read the service's log and restarts, and check scheme and port of the request",
        "curl -v https://HOST:PORT/healthz",
        source="curl's exit codes 52 and 56, the HTTP clients of Python",
        sure=0.78,
        steps="verify|test|deploy",
    ),
)  # fmt: skip
