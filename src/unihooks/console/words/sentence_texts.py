"""The console's English texts for the codes of sentences; `locale` has the translations."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from unihooks.console.words.locale import later, nlater


@frozen
class Plural:
    """A text whose form depends on the number that the figure `by` is."""

    one: str
    many: str
    by: str


TEXTS: Mapping[str, str | Plural] = {
    # URLs and addresses
    "url-missing": later("Enter a URL, such as https://example.com/hooks."),
    "url-not-https": later("The URL must start with https://."),
    "url-malformed": later("This is not a URL. Enter one such as https://example.com/hooks."),
    "url-form": later("This is not a URL. Enter one such as https://example.com/hooks."),
    "url-without-host": later("The URL must start with https:// and name a host."),
    "url-host": later("The URL must name one host, and may name a port after a colon."),
    "url-user-name": later("The URL contains a user name or password. Use a custom header instead."),
    "url-characters": later(
        "The URL contains a space, a control character or a backslash. Percent-encode it, as in %20."
    ),
    "url-fragment": later("The URL has a fragment, which is never sent. Remove the # and what follows it."),
    "url-too-long": later("The URL is too long. Use at most %(most)s characters."),
    "port-refused": later(
        "This port is not accepted. Use %(default)s, or one from 1024 up that no well-known service uses."
    ),
    "host-malformed": later("The host is not a valid name. Use one such as hooks.example.com."),
    "host-international": later("The host is not a valid international name. Check its spelling."),
    "host-in-brackets": later("Only IPv6 addresses are written in brackets. Leave the brackets out."),
    "host-local": later("This host is the sending machine itself. Use a public name."),
    "host-private": later("This name belongs to a private network. Use a public name."),
    "address-denied": later("This address is in a network that is not allowed here. Use another one."),
    "address-not-public": later("This address is not public. Use a public one."),
    "address-malformed": later("This is not an IPv4 or IPv6 address. Write it like 192.0.2.1 or 2001:db8::1."),
    # A webhook and its endpoints
    "name-missing": later("Enter a name."),
    "text-too-long": later("This is too long. Use at most %(most)s characters."),
    "text-characters": later("This contains a character that cannot be stored. Remove it."),
    "reason-missing": later("Enter a reason, or leave the field out."),
    "endpoints-missing": later("Enter at least one URL, such as https://example.com/hooks"),
    "endpoint-twice": later("This URL appears twice. Remove one."),
    "endpoint-unknown": later("One of these endpoints has been removed in the meantime. Open the page again."),
    "too-many-endpoints": Plural(
        *nlater(
            "A webhook has at most %(most)s endpoint. Add another webhook for more.",
            "A webhook has at most %(most)s endpoints. Add another webhook for more.",
        ),
        by="most",
    ),
    "too-many-endpoints-in-all": Plural(
        *nlater(
            "That would be more than %(most)s endpoint in all, which is the limit. Remove some first.",
            "That would be more than %(most)s endpoints in all, which is the limit. Remove some first.",
        ),
        by="most",
    ),
    "too-many-webhooks": Plural(
        *nlater(
            "You have %(most)s webhook, which is the limit. Delete one first.",
            "You have %(most)s webhooks, which is the limit. Delete one first.",
        ),
        by="most",
    ),
    "version-old": later(
        "Somebody else has changed this webhook in the meantime. Open the page again and repeat your change."
    ),
    # Events and conditions
    "product-malformed": later("%(shown)s is not the name of a product. Use 1 to 128 letters, digits and ._:/-"),
    "event-type-malformed": later("%(shown)s is not an event type. Use 1 to 128 letters, digits and ._:/-"),
    "product-pattern": later("%(shown)s stands for several products. Name one product, and add a line for each."),
    "event-type-pattern": later("In %(shown)s the * is misplaced. It stands alone, or at the end, as in order.*"),
    "product-unknown": later("There is no product %(wanted)s."),
    "product-unknown-near": later("There is no product %(wanted)s. Did you mean %(meant)s?"),
    "event-type-unknown": later("There is no event type %(wanted)s."),
    "event-type-unknown-near": later("There is no event type %(wanted)s. Did you mean %(meant)s?"),
    "event-type-covers-none": later("No event type of %(product)s matches %(shown)s. Use a beginning that exists."),
    "too-many-conditions": later("An event takes at most %(most)s conditions. Write the others as an alternative."),
    "condition-line": later("Line %(at)s: %(why)s"),
    "operator-unknown": later("%(op)s is not an operator. Use one of %(names)s."),
    "value-needless": later("%(op)s takes no value. Leave it out."),
    "value-missing": later("%(op)s needs a value."),
    "value-list": later("%(op)s takes a list of 1 to %(most)s values."),
    "value-order": later("%(op)s takes a number or a text, not %(value)s."),
    "value-text": later("%(op)s takes a text that is not empty, not %(value)s."),
    "value-kind": later(
        "%(op)s takes texts of up to %(most)s characters, numbers of up to %(most)s digits, true, false and "
        "null, not %(value)s."
    ),
    "condition-in-vain": later(
        "%(product)s %(event)s has no %(path)s by its schema, so the condition %(condition)s finds nothing."
    ),
    # Mappings
    "path-whole": later("%(path)s means the whole payload. Write a property of that name as ['$']."),
    "path-too-long": later(
        "%(path)s is too long or has a character that cannot be sent. Use at most %(most)s characters."
    ),
    "path-unreadable": later("%(path)s cannot be read from %(rest)s on. Write it like a.b, a[0], a[*] or a['k.dot']."),
    "path-steps": later("%(path)s must have 1 to %(most)s steps."),
    "too-many-rules": later("A mapping has at most %(most)s rules. Use [*] to cover several with one."),
    "too-many-wildcards": later("The wildcards combine in too many ways. Use fewer rules with [*]."),
    "rename-element": later("%(path)s ends in an index or a wildcard. Only a named property can be renamed."),
    "new-name": later("%(path)s needs a new name of 1 to %(most)s characters."),
    "same-property": later("%(one)s and %(two)s rename the same property. Keep one of them."),
    "same-new-name": later("%(one)s and %(two)s get the same new name. Choose another one."),
    "renamed-twice": later("%(path)s is renamed twice. Keep one of the lines."),
    "rule-unreadable": later("Line %(at)s: write “remove PATH” or “rename PATH -> NAME”."),
    "arrow-missing": later("Line %(at)s: a rename needs an arrow, as in “rename PATH -> NAME”."),
    "quotes-open": later("Line %(at)s: the text in quotes is not closed."),
    "rename-replaced": later("Renaming %(path)s to %(name)s replaced a property of that name."),
    # Headers
    "header-name": later(
        "The header name %(name)s is not valid. Use at most %(most)s English letters, digits and hyphens."
    ),
    "header-twice": later("The header %(name)s is given twice. Keep one of them."),
    "header-reserved": later("The header %(name)s is set with every request or not allowed. Use another name."),
    "header-own": later("The header %(name)s is set with every request. Remove it."),
    "header-value": later(
        "The value of %(name)s is not valid. Use visible English characters, and spaces only between them."
    ),
    "header-value-kind": later("The value of %(name)s is not a text."),
    "header-value-too-long": later("The value of %(name)s is too long. Use at most %(most)s characters."),
    "too-many-headers": later("There are too many headers. Use at most %(most)s."),
    "headers-too-long": later("The headers are too long. Use at most %(most)s characters in all."),
    # Delivery policies
    "delay-malformed": later("%(value)s is not a delay. Enter seconds, 0 or more."),
    "delay-too-long": later("A delay is at most %(most)s seconds."),
    "too-many-delays": later("Enter at most %(most)s delays."),
    "number-too-small": later("Enter a number of at least %(least)s."),
    "number-too-large": later("Enter a number of at most %(most)s."),
    "in-flight-malformed": later("Enter a whole number from 1 up."),
    "burst-without-rate": later("This needs a value for deliveries per second as well."),
    # Payloads
    "payload-too-large": later("The payload is larger than %(limit)s KiB. Send a link to the data instead."),
    "payload-too-deep": later("At %(path)s the payload is nested more than %(most)s levels deep."),
    "payload-surrogate": later("The text at %(path)s has half of a character. Remove or replace it."),
    "payload-key-surrogate": later("A property name at %(path)s has half of a character. Remove or replace it."),
    "payload-not-finite": later("NaN and Infinity at %(path)s are not JSON. Use null or a text instead."),
    "schema-required": later("At %(path)s the property %(names)s is missing, which the schema requires."),
    "schema-additional": later("At %(path)s there are properties that the schema does not allow: %(names)s."),
    "schema-dependent": later("At %(path)s these properties belong together by the schema: %(names)s."),
    "schema-nothing": later("The schema allows nothing at %(path)s."),
    "schema-misfit": later("The value at %(path)s does not match the schema: %(reason)s"),
    "example-missing": later("There is no example for this event type. Enter a payload to send."),
    "mapping-failed": later("The payload mapping failed: %(why)s"),
    # Limits and conflicts
    "too-many-tests": Plural(
        *nlater(
            "%(most)s test is being sent already. Wait until it has ended, and send this one again.",
            "%(most)s tests are being sent already. Wait until one has ended, and send this one again.",
        ),
        by="most",
    ),
    "too-many-jobs": Plural(
        *nlater(
            "You have %(most)s unfinished job, which is the limit. Wait until it has ended, or stop it.",
            "You have %(most)s unfinished jobs, which is the limit. Wait until one has ended, or stop one.",
        ),
        by="most",
    ),
    "not-pending": later("This delivery is not pending any more, so it cannot be cancelled."),
    "erased-before": later("The event was erased, so there is nothing to send."),
    "endpoint-gone": later("The endpoint of this delivery was removed, so there is nowhere to send it."),
    "never-rendered": later(
        "The payload mapping failed, so there is no body to send. Correct the mapping and recover the missed events."
    ),
    # Why a delivery ended or waits, and why an endpoint is disabled
    "cancelled-by-hand": later("Cancelled by hand"),
    "stopped-by-hand": later("Stopped by hand"),
    "disabled-by-hand": later("Disabled by hand"),
    "added-as-disabled": later("Added as disabled"),
    "disable-asked": later("Your system asked for this with the response header webhook-delivery: disable"),
    "gone": later("Your system returned 410 Gone"),
    "failing-too-long": later("Nothing but failures for 5 days"),
    "endpoint-removed": later("The endpoint was removed from the webhook"),
    "webhook-deleted": later("The webhook was deleted"),
    "held-too-long": later("On hold for 5 days: the webhook stayed inactive or the endpoint disabled"),
    "erased": later("The event was erased"),
    "answered": later("Your system returned %(status)s"),
    "abort-asked": later("Your system asked for no further attempt. The last one: %(why)s"),
    "no-retry-after-one": later("No retry is left after 1 attempt: %(why)s"),
    "no-retry": Plural(
        *nlater(
            "No retry is left after %(attempts)s attempt. The last one: %(why)s",
            "No retry is left after %(attempts)s attempts. The last one: %(why)s",
        ),
        by="attempts",
    ),
    "held-inactive": later("On hold: the webhook is inactive"),
    "held-disabled": later("On hold: the endpoint is disabled: %(why)s"),
    "no-reason": later("No reason was given"),
    "waits-in-order": later("Waits for an earlier delivery about %(subject)s"),
    "waits-until": later("Waits until %(until)s: %(why)s"),
    "last-failed": later("Its last attempt failed"),
    "failed-once": later("The endpoint failed once"),
    "failed-in-a-row": Plural(
        *nlater(
            "The endpoint failed %(count)s time in a row",
            "The endpoint failed %(count)s times in a row",
        ),
        by="count",
    ),
    "asked-to-wait": later("Your system asked for a pause until then, with Retry-After"),
    "limited": later("The webhook limits its deliveries"),
    "limited-rate": later("The webhook allows at most %(rate)s deliveries per second"),
    "limited-in-flight": later("The webhook allows at most %(in_flight)s requests at once"),
    "limited-both": later(
        "The webhook allows at most %(rate)s deliveries per second and %(in_flight)s requests at once"
    ),
    "slices-failed": later("The job failed %(times)s times in a row (%(kind)s)"),
    # Why an attempt failed
    "not-reachable": later("The destination is not allowed or not reachable"),
    "own-fault": later("We could not reach the internet"),
    "timed-out-before": later("Timed out after %(seconds)s s, before the request was sent"),
    "timed-out-in-handshake": later("Timed out after %(seconds)s s, during the TLS handshake"),
    "timed-out-sending": later("Timed out after %(seconds)s s, while the request was being sent"),
    "timed-out-waiting": later("Timed out after %(seconds)s s, waiting for the response"),
    "closed-early": later("The connection was closed before the response came"),
    "closed-in-headers": later("The connection was closed before the response headers were complete"),
    "closed-in-handshake": later("The connection was closed during the TLS handshake"),
    "reset-early": later("The connection was reset before the response came"),
    "reset-in-headers": later("The connection was reset before the response headers were complete"),
    "no-answer": later("There was no response"),
    "transport-failed": later("The request failed (%(kind)s)"),
    "control-character": later("The request has a control character in a header. Remove it."),
    "no-stream": later("The request could not be made"),
    "answer-too-large": later("The response is too large"),
    "headers-too-large": later("The response headers are too large"),
    "too-many-interim": later("More than %(most)s interim (1xx) responses came before the response"),
    "no-status-line": later("The response does not begin with an HTTP/1.1 status line"),
    "impossible-status": later("The response has the impossible status %(status)s"),
    "protocol-switched": later("The response switches protocols (status 101), which was not requested"),
    "certificate-not-yet": later("The TLS certificate is not valid yet"),
    "certificate-expired": later("The TLS certificate has expired"),
    "certificate-self-signed": later("The TLS certificate is self-signed"),
    "certificate-untrusted": later("The TLS certificate is issued by an authority that is not trusted"),
    "certificate-revoked": later("The TLS certificate has been revoked"),
    "certificate-other-host": later("The TLS certificate is not valid for this host"),
    "certificate-other-address": later("The TLS certificate is not valid for this address"),
    "certificate-unacceptable": later("The TLS certificate is not acceptable (error %(number)s)"),
    "handshake-failed": later("The TLS handshake failed (%(detail)s)"),
    "handshake-too-long": later("The TLS handshake is too long"),
    "tls-broke": later("The TLS connection broke before the response headers were complete (%(detail)s)"),
    "tls-renegotiated": later("The TLS connection was renegotiated, which is refused"),
    # What was wrong with a response that came
    "body-broke-off": later("The response body broke off"),
    "body-broke-off-by": later("The response body broke off (%(kind)s)"),
    "body-too-slow": later("The response body did not end in time and was cut"),
    "body-badly-framed": later("The response body is badly framed and was cut"),
    "answer-too-long": later("The response was longer than %(limit)s KiB and was cut"),
    "answer-cut": later("The response was too long and was cut"),
    "too-many-pieces": later("The response came in more than %(most)s pieces and was cut"),
    "bad-status-line": later("The response has a malformed status line"),
    "bad-header-line": later("The response has a malformed header line"),
    "bad-content-length": later("The response has a malformed Content-Length, or more than one"),
    "length-and-coding": later("The response has Content-Length beside Transfer-Encoding"),
    "other-coding": later("The response has a Transfer-Encoding other than chunked"),
    "large-headers": later("The response headers are larger than %(limit)s KiB"),
    "many-headers": later("The response has more than %(most)s headers"),
    "bare-line-feed": later("The response has a line that does not end in CR LF"),
}
