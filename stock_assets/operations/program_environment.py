"""What a program that a run starts gets of the run's environment. Pure."""

from collections.abc import Mapping

# What a program needs of the machine and of the network. Secrets and settings of others are not among it.
_NAMES = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LANGUAGE", "PYTHONPATH", "PYTHONUNBUFFERED",
        "VIRTUAL_ENV", "JAVA_HOME", "SPARK_HOME", "HADOOP_CONF_DIR", "YARN_CONF_DIR", "KUBECONFIG",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    }
)  # fmt: skip
# The locale; the dynamic loader; libfaketime, by which a preloaded clock is set.
_PREFIXES = ("LC_", "LD_", "DYLD_", "FAKETIME")


def program_environment(parent: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program: its own `settings`, and what it needs of its `parent`'s."""
    inherited = {name: value for name, value in parent.items() if name.upper() in _NAMES or name.startswith(_PREFIXES)}
    return inherited | dict(settings)
