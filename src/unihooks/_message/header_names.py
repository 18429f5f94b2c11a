"""The header names that customers cannot set, since they change how a request is framed, routed or trusted."""

from __future__ import annotations

import re

# fmt: off
_NAMES = frozenset({
    # the connection and the message
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
    "upgrade", "http2-settings", "expect", "content-encoding", "accept-encoding", "content-type",
    "user-agent", "date", "cookie", "cookie2", "set-cookie", "set-cookie2",
    "early-data", "alt-svc", "alt-used", "max-forwards", "via", "proxy", "cdn-loop",
    # signatures and traces
    "signature", "signature-input", "content-digest", "traceparent", "tracestate",
    # another method, path or scheme than those of the request
    "x-method", "x-http-method", "x-host-override", "x-script-name", "script-name", "path-info", "x-path-info",
    "x-scheme", "x-url-scheme", "front-end-https", "x-https", "x-matched-path", "fly-prefer-region",
    # who a proxy says has signed in
    "auth-user", "webauth-user", "x-webauth-user", "x-userinfo", "x-anonymous-consumer", "x-consumer-id",
    "x-consumer-username", "x-consumer-custom-id", "x-consumer-groups", "cf-access-jwt-assertion", "cf-worker",
    # cloud metadata services
    "metadata", "metadata-flavor",
})
_PREFIXES = (
    "proxy-", "webhook-", "unihooks-", "svix-", "ce-", "x-amz-", "x-amzn-", "x-goog-", "x-google-",
    "sec-", "x-aws-ec2-metadata-token",
    # where a request comes from, as proxies say it
    "forwarded", "x-forward", "x-real-", "real-ip", "remote-", "x-remote-", "x-client-ip", "true-client-",
    "cf-connecting-", "cf-ip", "cf-visitor", "cf-ray", "cf-ew-", "cf-pseudo-", "fastly-client", "fastly-ff",
    "fastly-ssl", "fly-forwarded-", "fly-region", "x-vercel-forwarded-", "x-vercel-ip-", "x-originating-", "x-azure-",
    "x-appengine-", "x-envoy-", "cloudfront-", "akamai-origin-", "x-cluster-client-", "x-coming-from", "x-proxy",
    # another path, method or handler
    "x-original-", "x-rewrite-", "x-accel-", "x-sendfile", "x-lighttpd-", "x-http-path-", "x-http-destination",
    "x-middleware-", "x-invoke-", "surrogate-",
    # who a proxy says has signed in, and with which certificate
    "ssl-", "x-ssl", "tls-", "x-tls-", "client-cert", "x-client-cert", "x-client-dn", "x-client-verify", "x-arr-",
    "x-auth-request-", "x-authenticated-", "x-authentik-", "cf-access-authenticated-", "x-ms-client-principal",
    "x-ms-token-", "x-credential-", "tailscale-user-", "x-pomerium-claim", "x-pomerium-jwt",
)
# fmt: on
# The many names for a sender's address end alike, and so do those for another method, address or host.
_ENDINGS = re.compile(r"(.*-)?(client-?|socket-?|user-?|real-?)?(ip|ipv4|ipv6|ip-?addr(ess)?|remote-addr(ess)?)")
_OVERRIDES = re.compile(r".*-?(method|url|uri|host|path|scheme|port|proto)-?override")
_NO_WORD = re.compile(r"[^0-9a-z]")


def is_reserved(name: str) -> bool:
    """Tell whether customers cannot set a header, in any spelling that some server takes for the same name.

    >>> is_reserved("X_Forwarded.For"), is_reserved("X-Api-Key")
    (True, False)
    """
    # CGI and WSGI turn "-" into "_", and some servers any other character too.
    folded = _NO_WORD.sub("-", name.lower())
    if folded in _NAMES or folded.startswith(_PREFIXES):
        return True
    return _ENDINGS.fullmatch(folded) is not None or _OVERRIDES.fullmatch(folded) is not None
