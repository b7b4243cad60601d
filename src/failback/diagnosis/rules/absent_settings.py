"""Settings that configuration libraries find absent or cannot convert, in the sentences of the libraries of nine languages."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_MISSING = FailureType.MISSING_CONFIGURATION
_INVALID = FailureType.INVALID_CONFIGURATION
_RUNS = "deploy|verify|build|docker|"

ROWS = (
    row(
        "setting-not-found",
        "no configuration setting|mandatory value|declare it as envvar|is required in env|config property|configuration property|configuration key|config key|required key|required property|required setting|missing required|could not fetch|missing value for|missing key|was not set|is not configured|not found in config|missing config|must be set in|must be provided in|must be configured in|must be defined in|is required in|is missing in|is mandatory in|is not set in|srcfg00014|required configuration setting|required config setting|is a required variable",
        r"No configuration setting found for key '(?P<a>[\w.-]+)'|Missing mandatory value: (?P<b>[\w.-]+)|(?P<c>[\w.-]+) not found\. Declare it as envvar|(?P<d>[\w.-]+) is required in env \w+"
        r"|(?:SRCFG00014|[Cc]onfig(?:uration)? property) ?:?[^\n]{0,40}?[\"'`]?(?P<e>[\w-]+(?:\.[\w-]+)+|[A-Z][A-Z0-9_]+)[\"'`]? (?:is required|is not defined|is missing|could not be found|not found)"
        r"|[Mm]issing required (?:config(?:uration)? )?(?:keys?|settings?|properties|property|values?|options?)[ :]+[\"'`]?(?P<f>[A-Za-z][\w.:-]*(?:, ?[\w.:-]+)*)|[Mm]issing value for (?:the )?(?:field|key|setting|variable|property|parameter|option|flag|argument) [\"'`]?(?P<l>[\w.-]+)|could not fetch (?:environment variable|application environment) [\":]?(?P<g>\w+)"
        r"|[Rr]equired (?:configuration |config )?(?:key|property|setting) [\"'`\[]?(?P<h>[\w.-]+)[\"'`\]]? (?:is |was )?(?:not (?:found|set|defined|present)|missing)|(?:env|environment)[^\n]{0,20}\"(?P<i>\w+)\" is a required variable|[Cc]onfig(?:uration)? key [\"'`\[]?(?P<j>[\w.-]+)[\"'`\]]? (?:is |was )?(?:not (?:found|set|defined|configured)|missing|required)|(?P<k>[\w-]+(?:\.[\w-]+)+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+) (?:must be (?:set|provided|configured|defined)|is (?:required|mandatory|missing|not set)) in (?:the )?[\w./-]*(?:propert|config|setting|environment|\.ya?ml|\.env)[\w.]*",
        _MISSING,
        "The setting {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l} is missing (required, not set)",
        "Set {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}",
        "Define {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l} in the configuration file or environment of the service that this release goes to, or give it a default",
        "release:\n  env:\n    {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}: <value>",
        source="Typesafe Config, OmegaConf, python-decouple, Dynaconf, SmallRye Config, node-config, nconf, Elixir's System, env-var",
        sure=0.93,
        steps=_RUNS,
        unless=r"invalid value|must be one of",
    ),
    row(
        "setting-schema",
        "when expecting|failed validating|invalid truth value|unsupported type|required key not provided|expected int|expected str|expected bool|extra keys not allowed|not a valid integer|is not of type|is not one of|is a required property|does not match|is less than the minimum|is greater than the maximum|additional properties|validationerror|invalid: not a valid value|schemaerror: wrong key|schemaerror: missing key",
        r"(?P<n>when expecting an? [^\n]+\n\s*found [^\n]+\n\s+in \"[^\"]+\", line \d+[^\n]*\n[^\n]*)|(?:ValidationError: )(?P<a>[^\n]+ (?:is not of type|is not one of|is not valid under|does not match|is less than the minimum|is greater than the maximum|is too (?:short|long)|is not a) ?[^\n]*)|ValidationError: (?P<b>'[^']+' is a required property)|ValidationError: (?P<k>Additional properties are not allowed[^\n]*)|Invalid truth value:? '?(?P<c>[^'\n]+)|(?:Multiple)?Invalid: (?P<d>(?:expected \w+|extra keys not allowed|required key not provided|not a valid value)[^\n]*@ data\[[^\n]+)|SchemaError: (?P<e>Missing key: '[^']+'|Wrong keys? '[^']+')",
        _INVALID,
        "A value in the configuration is invalid, the schema refuses it: {a}{b}{c}{d}{e}{k}{n}",
        "Correct the value that the schema refuses: {a}{b}{c}{d}{e}{k}{n}",
        "Set the setting {read} to a value of the type and form that the schema demands ({a}{b}{c}{d}{e}{k}{n}; a boolean is true or false, a number has no letters) in the file or variable that is read at {place}",
        source="jsonschema, voluptuous, schema, distutils' and python-decouple's strtobool",
        sure=0.9,
        steps="deploy|verify|",
        unless=r"request|payload",
        lines=5,
    ),
    row(
        "flag-needed",
        "is required when|is required if|must also be|error verifying flags|must specify|must be specified|must provide|required together|requires --|need to specify|is required unless|is required with|need to also|must also",
        r"(?<![\w-])(?P<a>--?[a-z][\w-]+)(?: flag| option)? (?:is required (?:when|if|unless|with)|must (?:also )?be (?:set|specified|provided|given)|requires)[^\n]*|(?:must|need to) (?:also )?(?:specify|provide|set|pass|use) (?P<b>--[a-z][\w-]+)[^\n]*|error verifying flags, (?P<c>[^\n]+)",
        _INVALID,
        "The start command lacks an option that goes with another: {a}{b}{c}",
        "Add {a}{b} to the command or the configuration file",
        "Pass it with its value, or remove the option that demands it: {line}",
        "PROGRAM {a}{b}=<value>",
        source="servers and tools in C++, Go and Rust that check their flags together (etcd, Prometheus, kubelet)",
        sure=0.88,
        steps="deploy|verify|",
    ),
    row(
        "keystore-password",
        "keystore password|keystore was tampered|cannot recover key|mac verify|bad decrypt|badpaddingexception|invalid password|pkcs12|maybe wrong password|wrong password|incorrect password",
        r"(?:keystore|truststore|Keystore|KeyStore)[^\n]{0,40}password was incorrect|Keystore was tampered with, or password was incorrect|Cannot recover key|(?:mac verify (?:failure|error)|PKCS12[^\n]*(?:invalid password|mac)|Mac verify error: invalid password\??|bad decrypt|maybe wrong password|Incorrect password, could not decrypt|Bad decrypt\. Incorrect password)",
        _INVALID,
        "The password of the keystore or private key is wrong, so it cannot be opened (decrypted)",
        "Set the password that the keystore or key was made with",
        "Correct the variable that holds the password of the keystore (KEYSTORE_PASSWORD, ssl.key-store-password, the passphrase), or ship the keystore that belongs to it; both must be changed together",
        "keytool -list -keystore keystore.p12 -storepass \"$KEYSTORE_PASSWORD\"",
        source="the JDK's KeyStore, OpenSSL, node:crypto, cryptography",
        sure=0.94,
    ),
)  # fmt: skip
