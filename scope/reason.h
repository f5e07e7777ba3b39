/* SPDX-License-Identifier: ISC */
/*
 * Every way a request can be refused, once: the stable word that guests,
 * logs and `hatcheck explain` show, the HTTP status, the Proxy-Status error
 * type (RFC 9209), what happened and what to do. docs/refusals.md is made
 * from this table. Never reorder: append.
 */
#ifndef SCOPE_REASON_H
#define SCOPE_REASON_H

#include <stddef.h>

/*	X(symbol, word, status, proxy-status error, what happened, hint) */
#define REASONS(X)                                                             \
	X(NONE, "none", 200, "", "allowed", "")                                \
	X(BAD_REQUEST, "bad-request", 400, "http_request_error",               \
	    "The request is not well-formed HTTP.",                            \
	    "Send one strict HTTP message; see docs/refusals.md.")             \
	X(BAD_HOST, "bad-host", 400, "http_request_error",                     \
	    "The destination is not a plain host name and port.",              \
	    "Use a lower-case host name, without user or odd characters.")     \
	X(BAD_PATH, "bad-path", 400, "http_request_error",                     \
	    "The path cannot be read in only one way.",                        \
	    "Send it without dot segments, //, backslash or odd escapes.")     \
	X(NAMES_DISAGREE, "names-disagree", 421, "http_request_error",         \
	    "CONNECT, TLS, Host or the grant name different hosts.",           \
	    "Use one host name in all of them.")                               \
	X(NO_TOKEN, "no-token", 407, "http_request_denied",                    \
	    "The connection carries no session token.",                        \
	    "Use hatcheck-guest, or Proxy-Authorization.")                     \
	X(BAD_TOKEN, "bad-token", 407, "http_request_denied",                  \
	    "The session token is not valid on this channel.",                 \
	    "Ask for a new one at http://hatcheck.internal/v1/token.")         \
	X(TOKEN_EXPIRED, "token-expired", 407, "http_request_denied",          \
	    "The session token has expired.",                                  \
	    "Ask for a new one at http://hatcheck.internal/v1/token.")         \
	X(REVOKED, "revoked", 403, "http_request_denied",                      \
	    "The session, grant or credential was revoked.",                   \
	    "Ask the owner of this host to grant it again.")                   \
	X(NO_GRANT_HOST, "host-not-granted", 403, "destination_ip_prohibited", \
	    "No grant of this session names the host.",                        \
	    "On the host: hatcheck grant suggest.")                            \
	X(NO_GRANT_METHOD, "method-not-granted", 403, "http_request_denied",   \
	    "The grant does not allow this method here.",                      \
	    "On the host: hatcheck grant suggest.")                            \
	X(NO_GRANT_PATH, "path-not-granted", 403, "http_request_denied",       \
	    "The grant does not allow this path.",                             \
	    "On the host: hatcheck grant suggest.")                            \
	X(AMBIGUOUS, "ambiguous-grant", 403, "http_request_denied",            \
	    "Several grants with different credentials match.",                \
	    "Send the placeholder of the credential that is meant.")           \
	X(FOREIGN_CREDENTIAL, "foreign-credential", 403,                       \
	    "http_request_denied",                                             \
	    "The request carries a credential that is not this session's.",    \
	    "Send none, or this session's placeholder.")                       \
	X(CROSS_SITE, "cross-site", 403, "http_request_denied",                \
	    "A web page of another site sent this request.",                   \
	    "Send the placeholder explicitly.")                                \
	X(NOT_BOUND, "not-bound", 403, "http_request_denied",                  \
	    "The credential is not bound to this host by its owner.",          \
	    "On the host: hatcheck credential bind.")                          \
	X(NO_CREDENTIAL, "credential-unavailable", 503,                        \
	    "proxy_configuration_error",                                       \
	    "What this grant needs cannot be had now.",                        \
	    "On the host: hatcheck doctor.")                                   \
	X(LIMIT_REQUESTS, "limit-requests", 429, "http_request_denied",        \
	    "The grant's number of requests is used up.",                      \
	    "Ask the owner of this host for a new session.")                   \
	X(LIMIT_RATE, "limit-rate", 429, "http_request_denied",                \
	    "Requests come faster than the grant allows.",                     \
	    "Wait as long as Retry-After says.")                               \
	X(LIMIT_BYTES, "limit-bytes", 429, "http_request_denied",              \
	    "The grant's number of bytes is used up.",                         \
	    "Ask the owner of this host for a new session.")                   \
	X(LIMIT_CONCURRENT, "limit-concurrent", 429, "http_request_denied",    \
	    "Too many requests of this grant are under way.",                  \
	    "Wait until one has ended.")                                       \
	X(LIMIT_GUEST, "limit-guest", 429, "http_request_denied",              \
	    "The guest holds too many connections or requests.",               \
	    "Close some.")                                                     \
	X(ADDRESS_FORBIDDEN, "address-forbidden", 403,                         \
	    "destination_ip_prohibited",                                       \
	    "The host resolves to a private or reserved address.",             \
	    "Name the address in the grant's upstream, if that is meant.")     \
	X(DNS_FAILED, "dns-failed", 502, "dns_error",                          \
	    "There is no such host name, or it has no address.",               \
	    "Check the name.")                                                 \
	X(CONNECT_FAILED, "connect-failed", 502, "connection_refused",         \
	    "The upstream server does not answer.", "Try again later.")        \
	X(UPSTREAM_TLS, "upstream-tls", 502, "tls_certificate_error",          \
	    "The upstream server's certificate was not accepted.",             \
	    "On the host: hatcheck logs shows why.")                           \
	X(UPSTREAM_BROKEN, "upstream-broken", 502, "http_protocol_error",      \
	    "The upstream server's answer is not well-formed HTTP.",           \
	    "Report it to the owner of that server.")                          \
	X(UPSTREAM_TIMEOUT, "upstream-timeout", 504,                           \
	    "connection_read_timeout",                                         \
	    "The upstream server did not answer in time.", "Try again later.") \
	X(UPSTREAM_ENCODED, "upstream-encoded", 502, "http_protocol_error",    \
	    "The answer is encoded so that it cannot be inspected.",           \
	    "Ask for it without compression.")                                 \
	X(CREDENTIAL_ECHO, "credential-echo", 502, "http_protocol_error",      \
	    "The answer could not be cleaned of a credential.",                \
	    "Report it to the owner of that server.")                          \
	X(AUDIT_FAILED, "audit-failed", 503, "proxy_internal_error",           \
	    "The audit log cannot be written, so nothing is forwarded.",       \
	    "On the host: hatcheck doctor.")                                   \
	X(NOT_READY, "not-ready", 503, "proxy_internal_error",                 \
	    "A part of Hatcheck is starting or waiting.",                      \
	    "Try again in a moment; on the host: hatcheck status.")            \
	X(UNSUPPORTED, "unsupported", 501, "http_request_error",               \
	    "This method or upgrade is not forwarded.", "Use plain requests.") \
	X(INTERNAL, "internal", 500, "proxy_internal_error",                   \
	    "Hatcheck failed to handle this request.",                         \
	    "On the host: hatcheck logs.")                                     \
	X(NOT_FOUND, "not-found", 404, "http_request_error",                   \
	    "The guest API has no such resource.", "See docs/guest-api.md.")   \
	X(RETIRED_CONNECTION, "retired-connection", 502,                       \
	    "connection_terminated",                                           \
	    "The connection was closed before an answer came.", "Try again.")  \
	X(DNS_SILENT, "dns-silent", 504, "dns_timeout",                        \
	    "The host's resolver gave no answer about the name.",              \
	    "Try again later; on the host: check its DNS.")                    \
	X(AUDIT_FULL, "audit-full", 503, "proxy_internal_error",               \
	    "The session's audit log is full, so nothing is forwarded.",       \
	    "On the host: a new session, or more audit_bytes.")                \
	X(MINTED_SECRET, "minted-secret", 502, "http_protocol_error",          \
	    "The answer hands out a new credential, which a guest may not "    \
	    "hold.",                                                           \
	    "On the host: add that credential with hatcheck credential add.")  \
	X(PROXY_FAILED, "proxy-failed", 502, "destination_unavailable",        \
	    "The proxy that this host must use did not open the connection.",  \
	    "On the host: hatcheck logs shows why.")                           \
	X(NOT_DELEGATED, "not-delegated", 403, "http_request_denied",          \
	    "This sub-agent's token is narrower than its session.",            \
	    "Ask the agent that started this one for a wider token.")          \
	X(H2C, "prior-knowledge", 505, "http_request_error",                   \
	    "HTTP/2 is spoken within TLS only.", "Use https, or HTTP/1.1.")    \
	X(FLOOD, "flood", 429, "http_request_denied",                          \
	    "The connection sent too much that asks for nothing.",             \
	    "Reset, ping and update less; limits: hatcheckd.yaml(5).")         \
	X(CREDENTIAL_REJECTED, "credential-rejected", 502,                     \
	    "http_request_denied",                                             \
	    "The upstream server rejects the credential that is put in.",      \
	    "On the host: hatcheck credential rotate.")                        \
	X(HIDDEN_SLASH, "hidden-slash", 403, "http_request_denied",            \
	    "The path hides a slash (%2F), and no rule allows every path.",    \
	    "Send it without %2F, or grant paths: [\"/**\"].")

enum reason {
#define X(symbol, word, status, proxy, what, hint) REASON_##symbol,
	REASONS(X)
#undef X
	    REASON_COUNT
};

struct reason_row {
	const char *word;
	unsigned status;
	const char *proxy_status;
	const char *what;
	const char *hint;
};

/* The row; an unknown number gives INTERNAL's. */
const struct reason_row *reason_row(unsigned reason);
/* The number for a word, or -1. */
int reason_by_word(const char *word);

#endif
