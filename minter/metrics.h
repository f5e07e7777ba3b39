/* SPDX-License-Identifier: ISC */
/*
 * What happened since the minter was started, as numbers, and how they are
 * told: `GET /v1/metrics`, Prometheus' text format. One table of names, from
 * which docs/metrics.md is made (tests/docs/test_metrics.py --write).
 *
 * A label's value is a word of our own tables, never a name that a guest, an
 * upstream or an owner chose.
 */
#ifndef MINTER_METRICS_H
#define MINTER_METRICS_H

#include "lib/link.h"
#include "messages/counts.h"
#include "minter/state.h"

/*	X(symbol, name after hatcheck_, type, labels, what it says) */
#define METRICS(X)                                                            \
	X(BUILD, "build_info", "gauge", "version", "Always 1.")               \
	X(STORAGE, "storage_ok", "gauge", "",                                 \
	    "1, or 0 when the audit log or state cannot be written: nothing " \
	    "is forwarded then.")                                             \
	X(VAULT, "vault_open", "gauge", "", "1 when the vault is open.")      \
	X(SESSIONS, "sessions", "gauge", "", "Active sessions.")              \
	X(OVER, "sessions_over_total", "counter", "state",                    \
	    "Sessions that ended, were revoked or expired.")                  \
	X(FAMILIES, "token_families", "gauge", "",                            \
	    "Live token families of active sessions.")                        \
	X(TOKENS, "token_requests_total", "counter", "result",                \
	    "Tokens that guests asked for: minted or refused.")               \
	X(DECISIONS, "decisions_total", "counter", "decision,reason",         \
	    "Requests that were allowed, and those that were refused, by "    \
	    "the words of docs/refusals.md.")                                 \
	X(ENDED, "requests_ended_total", "counter", "reason",                 \
	    "Allowed requests that are over: none, or why they were ended.")  \
	X(ANSWERS, "answers_total", "counter", "class",                       \
	    "The upstream servers' answers to them; class none: no answer.")  \
	X(TOOK, "request_duration_seconds", "histogram", "",                  \
	    "How long they took, tunnels and streams included.")              \
	X(BYTES, "bytes_total", "counter", "direction",                       \
	    "Their bodies: up, to upstream servers, and down. Counted when "  \
	    "a request is over.")                                             \
	X(REVOCATION, "revocation_seconds", "histogram", "",                  \
	    "From a revocation to the moment when all is cut, which is when " \
	    "it is answered.")                                                \
	X(LAG, "audit_sync_seconds", "histogram", "",                         \
	    "From an audit line of a session to its sync.")                   \
	X(UNSIGNED, "audit_unsigned_lines", "gauge", "",                      \
	    "Synced audit lines of active sessions that no signed anchor "    \
	    "covers yet.")                                                    \
	X(PROCESSES, "processes", "gauge", "role,state",                      \
	    "Our processes but the supervisor.")                              \
	X(RESTARTS, "restarts_total", "counter", "role",                      \
	    "Processes that died and were started again.")

struct metrics {
	uint64_t bytes_up, bytes_down, allowed;
	uint64_t refused[REASON_COUNT], ended[REASON_COUNT];
	uint64_t status[COUNTS_CLASSES];
	uint64_t took[COUNTS_TOOK_N], took_ms;
	uint64_t lag[COUNTS_LAG_N], lag_ms;
	uint64_t revocation[COUNTS_LAG_N], revocation_ms;
	uint64_t over[SESSION_EXPIRED + 1]; /* by enum session_state */
	uint64_t minted, not_minted;
	uint64_t restarts[LINK_CLI]; /* by enum link_role */
};

void metrics_add(struct metrics *m, const struct counts *c);
void metrics_session_over(struct metrics *m, enum session_state how);
void metrics_token(struct metrics *m, bool minted);
void metrics_revoked(struct metrics *m, int64_t ms);
void metrics_restarted(struct metrics *m, enum link_role role);

/* All of it as text. */
struct minter;
MUST_USE int metrics_text(const struct minter *m, struct buf *out);

#endif
