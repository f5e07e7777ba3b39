# SPDX-License-Identifier: ISC
"""mitmproxy: check a token, swap in the credential."""
import hmac
import os

from mitmproxy import http

TOKEN, KEY = os.environ["TOKEN"], os.environ["KEY"]


def requestheaders(flow):  # before a streamed body
    if not hmac.compare_digest(flow.request.headers.get("x-token", ""),
                               TOKEN):
        flow.response = http.Response.make(403)
        return
    del flow.request.headers["x-token"]
    flow.request.headers["authorization"] = f"Bearer {KEY}"
