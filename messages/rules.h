/* SPDX-License-Identifier: ISC */
/*
 * Courier and minter: what the session may do, which families live, what
 * is revoked, and the audit heads. Ids 0x08xx.
 */
#ifndef MESSAGES_RULES_H
#define MESSAGES_RULES_H

#include "lib/msg.h"

/* minter -> courier, first and at each change (it replaces the rules
 * whole; what is in flight and no longer granted is cut). It also lifts
 * earlier cuts of a grant or credential: what it names is granted again.
 * A cut of the session or of a family is for good. */
struct rules_session {
	struct span session;
	struct span guest;
	uint64_t expires_ms; /* CLOCK_BOOTTIME */
	/* JSON array of grants in the canonical form of scope/grant_json.h,
	 * compiled by the courier with the same code. */
	struct span grants;
	/* JSON: [{"credential":NAME,"value":PLACEHOLDER}, ...] */
	struct span placeholders;
	/* JSON: {"ACCOUNT":{"requests":N,"up":N,"down":N}}: used before this
	 * courier was started, and leased to it (rules_used). An account is
	 * GRANT, or of a narrower family FAMILY/GRANT. */
	struct span used;
};
extern const struct msg_type msg_rules_session;

/* minter -> courier: this family lives until then. Unknown families are
 * refused. */
struct rules_family {
	struct span family;
	struct span jti;     /* of its newest token, for the audit log */
	uint64_t expires_ms; /* CLOCK_BOOTTIME */
	/* Of a child: the family that it stands below, which must live too. */
	struct span parent;
	struct span act; /* the sub-agent; empty: none */
	/* JSON array of narrower grants (scope/narrow.h): what passes must be
	 * allowed by these, by all above, and by the session's grants as they
	 * are now. Empty: no narrower than what is above. */
	struct span details;
};
extern const struct msg_type msg_rules_family;

/* minter -> courier: from now on refuse, and cut what is in flight; answer
 * with the serial once no socket can be written under it any more. The
 * gate confirms each cut too: that of a session or family it is told itself
 * (guest_cut), the others by way of the courier (traffic_cut). */
enum rules_cut_kind {
	RULES_CUT_NOTHING = 0, /* the answer: what came before holds */
	RULES_CUT_SESSION = 1, /* name empty */
	RULES_CUT_FAMILY = 2,
	RULES_CUT_GRANT = 3,
	RULES_CUT_CREDENTIAL = 4
};
struct rules_cut {
	uint32_t serial;
	uint8_t kind;
	struct span name;
};
extern const struct msg_type msg_rules_cut;
struct rules_cut_done {
	uint32_t serial;
};
extern const struct msg_type msg_rules_cut_done;

/* courier -> minter: the chain head that is on disk now. */
struct rules_audit_head {
	uint64_t seq;
	struct span hash; /* 32 bytes */
};
extern const struct msg_type msg_rules_audit_head;

#define RULES_ACCOUNT_MAX (32 + 1 + 64)
#define RULES_USED_MAX (160 * 1024) /* bytes of rules_session's used */

/* courier -> minter: totals so far, each second while they change, and when
 * it wants to have more leased, in blocks, ahead of their use. What is
 * leased counts as used whatever becomes of the courier; only its last words
 * give back what is left. */
struct rules_used {
	struct span account;
	uint64_t requests, bytes_up, bytes_down;
	/* Totals, as those are; never below them. */
	uint64_t lease, lease_up, lease_down;
};
extern const struct msg_type msg_rules_used;

/* minter -> courier: these totals are on disk and may be used. */
struct rules_leased {
	struct span account;
	uint64_t lease, lease_up, lease_down;
};
extern const struct msg_type msg_rules_leased;

#endif
