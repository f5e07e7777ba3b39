/* SPDX-License-Identifier: ISC */
/*
 * The oldest files of the minter's own chain may go too (minter/retain.h),
 * though verify needs what they say of sessions that go on: where one began,
 * its newest anchor, what retention removed of it. That is said again before,
 * at the chain's end, each line as it was, with the signature it had (of a
 * beginning: who it was):
 *
 *	"event":"carried","line":{"seq":7,"prev":"…","event":"anchor",…}
 *
 * Nothing is signed anew, so nothing forged becomes good; verify believes it
 * only of lines whose own place is gone. What a session
 * that is wholly removed had is not carried; what one had whose files are
 * gone without such a word is, so that verify goes on to miss them.
 */
#ifndef MINTER_CARRY_H
#define MINTER_CARRY_H

#include "minter/audit.h"

/* Files of that chain are there, and stay. */
typedef bool carry_stays(void *ctx, const char *chain);

/* Read files first to first + n - 1 of the minter's chain in dirfd and carry
 * on. ERR_CRYPTO, ERR_FORMAT, ERR_TRUNCATED: they do not chain, nothing was
 * said. ERR_IO: they cannot be read, or the log failed (audit_ok()). */
MUST_USE int carry_lines(struct audit *a, int dirfd, uint32_t first, size_t n,
    carry_stays *stays, void *ctx);

#endif
