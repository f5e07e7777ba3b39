/* SPDX-License-Identifier: ISC */
/*
 * Check an audit directory offline: every session's chain, the minter's
 * chain, the signature of each anchor against keys.json, and each anchor
 * against the session's file. Nothing is written; no daemon is needed.
 *
 * What it cannot show: lines cut off a file's end after its last anchor
 * (said as a warning, with their number, when there are any), the end of
 * minter.jsonl itself, lines there after the last that is signed (likewise a
 * warning), and anything at all when keys.json was replaced
 * together with all files: keep a copy of keys.json elsewhere.
 *
 * Used by the CLI: no SQLite and no HTTP here.
 */
#ifndef MINTER_AUDIT_VERIFY_H
#define MINTER_AUDIT_VERIFY_H

#include "lib/err.h"

#include <stdint.h>

enum audit_note { AUDIT_GOOD, AUDIT_WARNING, AUDIT_BAD };

/* One finding. file: a name within the directory; line: from 1, or 0 when
 * it is about the whole file; text: one sentence, printable ASCII. */
typedef void audit_verify_note(void *ctx, enum audit_note kind,
    const char *file, uint64_t line, const char *text);

struct audit_report {
	uint64_t files, lines, anchors;
	uint64_t unanchored; /* lines after their file's last anchor */
	uint64_t bad;	     /* findings of kind AUDIT_BAD */
};

/* 0: all is as it was written. ERR_CRYPTO: at least one AUDIT_BAD finding.
 * ERR_IO, ERR_NOMEM: the check itself failed. keys: a keys.json kept
 * elsewhere, which is then the only one believed (AUDIT_BAD when it cannot
 * be read), or NULL for the one in dir. */
MUST_USE int audit_verify(const char *dir, const char *keys,
    audit_verify_note *note, void *ctx, struct audit_report *out);

#endif
