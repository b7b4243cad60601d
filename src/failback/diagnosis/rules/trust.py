"""Services that are reached and refuse: credentials, certificates, keys."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hit, Hypothesis, line_rule
from failback.diagnosis.rules.network import place_named, target_of
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType

_AUTH = (
    r"password authentication failed for user \"?(?P<pg>[\w.@-]+)|no pg_hba\.conf entry for host .*?user \"(?P<hba>[^\"]+)\"|role \"(?P<role>[^\"]+)\" does not exist|no password supplied|SASL authentication failed"
    r"|Access denied for user '?(?P<my>[^'@\s]*)'?@|NOAUTH|WRONGPASS|HELLO must be called with the client already authenticated|invalid (?:username-password pair|password)\b"
    r"|Authentication (?:failed|required|unsuccessful)|auth(?:entication)? (?:error|failure)|ACCESS_REFUSED|PLAIN login refused: user '(?P<mq>[^']+)'|Login failed for user '(?P<ms>[^']+)'"
    r"|SASL .*(?:failed|mismatch|must be a string)|bad auth|not authorized on \S+ to execute|requires authentication|ORA-01017|(?:AuthenticationError|AuthenticationException|AuthenticationFailed)\b|Invalid credentials|401 (?:Unauthorized|Client Error)|(?:Incorrect|Invalid) API key|InvalidAPIKey|invalid_client|SignatureDoesNotMatch|InvalidAccessKeyId|The security token included in the request is (?:invalid|expired)|ExpiredToken|Unable to locate credentials|530 .*authentication|535[ -]5\.7\.\d|status(?: code)? 401\b"
)


@line_rule(
    "credentials-refused",
    'authentication|access denied for user|noauth|wrongpass|already authenticated|invalid password|access_refused|login refused|login failed|no pg_hba|role "|password supplied|sasl|bad auth|not authorized on|requires auth|ora-01017|unauthorized|invalid credentials|api key|invalid_client|signaturedoesnotmatch|invalidaccesskeyid|security token|expiredtoken|locate credentials|535|530 |status 401|status code 401|invalid username-password pair|401 client error|invalidapikey',
    _AUTH,
    source="PostgreSQL 28P01/28000, MySQL 1045, Redis NOAUTH/WRONGPASS, AMQP 403 ACCESS_REFUSED, MongoDB 18, SQL Server 18456, HTTP 401",
)
def credentials(hit: Hit) -> Hypothesis | None:
    """It was reached and says no."""
    line, low = hit.line, hit.line.lower()
    if any(
        word in low
        for word in (
            "registry",
            "pulling",
            "pull access",
            "docker",
            "npm error",
            "npm err",
            "manifest",
            "no credentials provided for",
            "basic-auth",
        )
    ):
        return None
    if hit.document.role == "step" and hit.scene.step_type in ("build", "docker", "quality", "security"):
        return None
    kind, host, port = target_of(hit)
    user = next((v for k, v in hit.match.groupdict().items() if v), "")
    who = f" for user {user}" if user else ""
    if (
        "noauth" in low
        or "already authenticated" in low
        or "no password supplied" in low
        or "requires auth" in low
        or "locate credentials" in low
    ):
        why = "authentication is required and no password or key was given"
    elif "does not exist" in low:
        why = "this user (role) does not exist"
    else:
        why = f"the credentials (user or password) are wrong{who}"
    name = place_named(kind, host, port)
    variable = {
        "PostgreSQL": "DATABASE_URL",
        "MySQL": "DATABASE_URL",
        "Redis": "REDIS_URL",
        "MongoDB": "MONGODB_URI",
        "RabbitMQ": "AMQP_URL",
    }.get(kind, "")
    setting = f" ({variable})" if variable else ""
    return Hypothesis(
        FailureType.DEPENDENCY_AUTH,
        f"{name[0].upper() + name[1:]} refuses access: {why}{hit.at}: {line}",
        0.93 if kind or user else 0.8,
        (
            high(f"Correct the credentials for {kind or name}{who}", f"Set the right user and password, token or key{setting}{who} in the service's Secret or environment; rotate it if it expired, then restart",
                 _secret_example(hit.scene, variable or "PASSWORD")),
            medium(f"Check the account{who} on the server", f"The user must exist on {kind or name} and may have lost its grant or password", ""),
        ),
        affected=(kind or host,) if kind or host else (),
        names=(user, host),
        facts={"user": user, "host": host, "port": port},
    )  # fmt: skip


def _secret_example(scene: Scene, variable: str) -> str:
    if scene.on_kubernetes:
        return f"kubectl create secret generic {scene.evidence.service or 'app'}-secrets --from-literal={variable}=... --dry-run=client -o yaml | kubectl apply -f -"
    return f"export {variable}=...   # and redeploy"


_TLS = (
    r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|certificate has expired|CERT_HAS_EXPIRED|self[- ]signed certificate|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_VERIFY_LEAF|UNABLE_TO_GET_ISSUER"
    r"|unable to (?:get local issuer|verify the first) certificate|x509: |Hostname/IP does not match|ERR_TLS_CERT_ALTNAME|PKIX path|SunCertPathBuilder|CertificateExpired|hostname '?[\w.-]+'? doesn't match|certificate is not valid for"
    r"|RemoteCertificate|remote certificate (?:is|was) (?:invalid|rejected)|certificate key (?:mismatch|values mismatch)|key values mismatch|KEY_VALUES_MISMATCH|PEM_read_bio|bad (?:certificate|end line)|PEM (?:lib|routines)|no start line|NO_START_LINE"
    r"|tls: (?:failed to (?:find|parse)|private key does not match)|wrong version number|WRONG_VERSION_NUMBER|unsupported protocol|SSLHandshakeException|handshake[_ ]failure|bad decrypt|unknown ca\b|certificate (?:revoked|unknown|required)|certificate is (?:not yet valid|expired)|cannot load certificate|SSL_CTX_use_PrivateKey|[Nn]o (?:subject alternative|alternative certificate subject name)|(?:subject name|certificate)[^\n]{0,40} does not match (?:the )?(?:target )?host|invalid peer certificate|certificate signed by unknown authority|notAfter|invalid certificate|TLSV1_ALERT|SSLV3_ALERT|alert protocol version|alert (?:number|internal error)|no protocols available|no shared cipher|(?:DH|EE|CA)_KEY_TOO_SMALL|dh key too small|ca md too weak|protocol version not supported|remote error: tls|ERR_SSL_\w+|EPROTO"
)


@line_rule(
    "tls",
    "certificate|cert_|_cert|x509|altname|pkix|certpath|key values mismatch|pem_read|pem routines|pem lib|no start line|no_start_line|tls:|wrong version number|wrong_version|unsupported protocol|handshake|bad decrypt|unknown ca|privatekey|key_values|_alert|alert |no protocols|shared cipher|key_too_small|key too small|md too weak|protocol version|err_ssl|eproto|hostname/ip does not match|depth_zero_self_signed|no subject alternative|unable_to_verify_leaf|unable_to_get_issuer|remote error: tls|bad end line|notafter|hostname '",
    _TLS,
    source="OpenSSL's verify codes; Go crypto/x509; JSSE; Node's tls error codes",
)
def tls(hit: Hit) -> Hypothesis | None:
    """A certificate or key that is expired, unknown, for another name, or not its pair."""
    line = hit.line
    low = hit.document.window(hit.index, 0, 1).lower()
    if (
        hit.scene.step_type in ("build", "docker")
        and hit.document.role == "step"
        and ("pip" in low or "npm" in low or "registry" in low)
    ):
        return None
    kind, host, port = target_of(hit)
    file = re.search(r"(?<![\w:/])/[\w./-]+\.(?:pem|crt|key|cer|jks|p12)", line)
    if re.search(r"expired|not yet valid|notafter", low):
        why, fix = (
            "the certificate has expired" if "not yet" not in low else "the certificate is not yet valid",
            (
                "Renew the certificate",
                "Renew (rotate, reissue) the certificate and replace it where it is installed; automate the renewal",
            ),
        )
    elif re.search(r"doesn't match|does not match|altname|not valid for|alternative", low) and "private key" not in low:
        why, fix = (
            "the certificate is for another host name",
            (
                "Use a name that the certificate covers",
                "Connect by a host name in the certificate, or reissue the certificate with this name (subject alternative name, SAN)",
            ),
        )
    elif re.search(r"mismatch|private key does not match", low):
        why, fix = (
            "the private key does not match the certificate",
            (
                "Install the key that belongs to the certificate",
                "Replace certificate and private key by a matching pair",
            ),
        )
    elif re.search(r"no start line|pem|bad end line|failed to find|failed to parse|cannot load", low):
        why, fix = (
            "the certificate or key file cannot be read (wrong or missing PEM content)",
            (
                "Replace the certificate file",
                "Provide a valid PEM file with certificate and key; check its path and content",
            ),
        )
    elif re.search(
        r"wrong version number|unsupported protocol|record overflow|plain|protocol.?version|no protocols|shared cipher|too small|too weak|handshake.?failure|eproto",
        low,
    ):
        why, fix = (
            "TLS is spoken to a port that does not (or to another version of it)",
            (
                "Match the scheme and TLS version",
                "Use http:// instead of https:// (or the TLS port), or enable a protocol version that both support",
            ),
        )
    else:
        why, fix = (
            "the certificate's authority (CA) is unknown or not trusted (self-signed or missing issuer)",
            (
                "Trust the certificate's authority",
                "Add the CA certificate to the service's trust store (or send the whole chain from the server), or replace it by a certificate of a known authority",
            ),
        )
    name = place_named(kind, host, port) if (host or kind) else file.group(0) if file else "a service it calls"
    return Hypothesis(
        FailureType.TLS_CERTIFICATE,
        f"TLS to {name} fails: {why}{hit.at}: {line}" if not file else f"TLS certificate {file.group(0)}: {why}: {line}",
        0.93 if "remote error" not in low else 0.6,  # the other side's complaint: what it found wrong stands in its own log
        (high(f"{fix[0]} ({name})", f"{fix[1]} ({name})", f"openssl s_client -connect {host or '<host>'}:{port or '443'} -servername {host or '<host>'} </dev/null | openssl x509 -noout -dates -subject -issuer"
              if not file else f"openssl x509 -in {file.group(0)} -noout -dates -subject"),),
        affected=(host,) if host else (),
        names=(host,),
        facts={"host": host},
    )  # fmt: skip
