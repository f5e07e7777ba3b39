/* SPDX-License-Identifier: ISC */
/*
 * Within audit_verify.h: what the minter's chain says of the others, once it
 * was read. Nobody else needs this.
 */
#ifndef MINTER_AUDIT_SAID_H
#define MINTER_AUDIT_SAID_H

#include "keys/signing.h"
#include "lib/chainlog.h"
#include "lib/segments.h"
#include "minter/audit_verify.h"

struct anchor {
	char session[SEGMENT_CHAIN_MAX];
	struct chainlog_head head;   /* the anchored line */
	char file[SEGMENT_NAME_MAX]; /* where it stands, and in which line */
	uint64_t line;
	struct chainlog_head after; /* the minter's line that it followed */
	bool met;		    /* the session's file has that line */
};

/* What retention took away, as the minter's chain says. */
struct removal {
	char session[SEGMENT_CHAIN_MAX];
	uint64_t from, upto;
};

/* A file of a chain. */
struct part {
	char chain[SEGMENT_CHAIN_MAX];
	uint32_t n;
};

struct check {
	int dirfd;
	audit_verify_note *note;
	void *ctx;
	struct audit_report report;
	struct jwks keys;
	struct anchor *anchors;
	size_t n_anchors, room;
	struct removal *removals; /* sorted */
	size_t n_removals, removals_room;
	struct part *parts; /* sorted */
	size_t n_parts, parts_room;
	/* What is being read. */
	const char *session;
	char file[SEGMENT_NAME_MAX];
	uint64_t base;	 /* seq of the line before the file's first */
	uint64_t gone;	 /* and, of the minter's chain, before its first file */
	uint64_t sealed; /* seq of the last good signed line in its place */
};

/* printf-like; its text is escaped. */
__attribute__((format(printf, 5, 6))) void
said_note(struct check *c, enum audit_note kind, const char *file,
    uint64_t line, const char *fmt, ...);
/* Room for one more of size bytes behind n in *list, or NULL. */
void *said_grow(void *list, size_t n, size_t *room, size_t size);

/* A chainlog_each of the minter's chain; ctx: struct check. */
int said_line(void *ctx, const struct chainlog_head *at, struct span line);
/* After it was read, before what is below. */
void said_sort(struct check *c);

/* -1, 0, 1: before, at, after that line. */
int said_compare(const struct anchor *a, const char *session, uint64_t seq);
/* The first anchor that is not before this line. */
size_t said_first(const struct check *c, const char *session, uint64_t seq);
/* As far as statements of removal reach from the session's first line on. */
uint64_t said_removed(const struct check *c, const char *session);
/* A chain's lines were read, or excused: none of them is a missing file's. */
void said_meet(struct check *c, const char *chain);

#endif
