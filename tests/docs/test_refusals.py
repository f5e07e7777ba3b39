"""docs/refusals.md is what scope/reason.h says, and the table is sound."""
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parent.parent.parent
made = SourceFileLoader("refusals", str(ROOT / "tools/refusals")).load_module()

# RFC 9209, section 2.3, and the registry that it opened.
ERRORS = """dns_timeout dns_error destination_not_found destination_unavailable
destination_ip_prohibited destination_ip_unroutable connection_refused
connection_terminated connection_timeout connection_read_timeout
connection_write_timeout connection_limit_reached tls_protocol_error
tls_certificate_error tls_alert_received http_request_error
http_request_denied http_response_incomplete http_response_header_section_size
http_response_header_size http_response_body_size
http_response_trailer_section_size http_response_trailer_size
http_response_transfer_coding http_response_content_coding
http_response_timeout http_upgrade_failed http_protocol_error
proxy_internal_response proxy_internal_error proxy_configuration_error
proxy_loop_detected""".split()


def symbols():
    """How many rows the compiler sees, without "none"."""
    text = subprocess.run(
        ["gcc", "-E", "-P", "-I", str(ROOT), str(ROOT / "scope/reason.c")],
        capture_output=True, text=True, check=True).stdout
    return len(set(re.findall(r"\bREASON_(?!COUNT|NONE)\w+", text)))


def checks():
    rows = list(made.rows())
    words = [r[0] for r in rows]
    yield "docs/refusals.md is made from the table", (
        (ROOT / "docs/refusals.md").read_text() == made.page())
    yield "no row is missed", len(rows) == symbols() and len(rows) > 30
    yield "words are unique and plain", (
        len(set(words)) == len(words) and
        all(re.fullmatch(r"[a-z]+(-[a-z]+)*", w) for w in words))
    yield "statuses are errors", all(400 <= r[1] <= 599 for r in rows)
    for word, _, error, _, _ in rows:
        if error not in ERRORS:
            print(f"# {word}: {error}")
    yield "Proxy-Status errors are RFC 9209's", all(
        r[2] in ERRORS for r in rows)
    yield "what and hint are sentences", all(
        s.endswith(".") for r in rows for s in r[3:])


bad = 0
for n, (what, good) in enumerate(checks(), 1):
    print(f"{'ok' if good else 'not ok'} {n} - {what}")
    bad += not good
sys.exit(1 if bad else 0)
