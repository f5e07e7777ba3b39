/* SPDX-License-Identifier: ISC */
/*
 * Typed messages between sibling processes: a struct of fixed fields, and a
 * table that says how they lie on the wire. No I/O here.
 *
 * A frame is   u32 length of the payload, u16 type, u8 has_fd, u8 zero,
 * then the payload: its fields in table order, big-endian, a span as u32
 * length and bytes. A payload must be consumed whole; every span is at most
 * its field's max; anything else is ERR_FORMAT, and a sibling that sends it
 * is broken.
 *
 *	struct lease { uint32_t rid; struct span credential; };
 *	static const struct msg_field lease_fields[] = {
 *		MSG_FIELD_U32(struct lease, rid),
 *		MSG_FIELD_SPAN(struct lease, credential, 64),
 *	};
 *	const struct msg_type msg_lease =
 *	    MSG_TYPE(0x0401, "lease", struct lease, lease_fields, MSG_NO_FD);
 */
#ifndef LIB_MSG_H
#define LIB_MSG_H

#include "lib/buf.h"

#define MSG_HEADER_LEN 8
/* The largest payload of any type. */
#define MSG_MAX (512 * 1024)
/* The largest struct a type may use (decoded on the stack). */
#define MSG_STRUCT_MAX 1024

enum msg_kind { MSG_U8, MSG_U16, MSG_U32, MSG_U64, MSG_SPAN };
enum msg_fd { MSG_NO_FD, MSG_MAY_FD, MSG_MUST_FD };

struct msg_field {
	enum msg_kind kind;
	size_t offset;
	size_t max; /* MSG_SPAN: largest length in bytes */
};

struct msg_type {
	uint16_t id; /* unique in the whole product */
	const char *name;
	size_t size; /* of the struct */
	const struct msg_field *fields;
	size_t n_fields;
	enum msg_fd fd;
};

#define MSG_FIELD_U8(T, f) {MSG_U8, offsetof(T, f), 0}
#define MSG_FIELD_U16(T, f) {MSG_U16, offsetof(T, f), 0}
#define MSG_FIELD_U32(T, f) {MSG_U32, offsetof(T, f), 0}
#define MSG_FIELD_U64(T, f) {MSG_U64, offsetof(T, f), 0}
#define MSG_FIELD_SPAN(T, f, maxlen) {MSG_SPAN, offsetof(T, f), maxlen}
#define MSG_TYPE(num, nm, T, tab, fdrule)                                      \
	{                                                                      \
		.id = (num), .name = (nm), .size = sizeof(T), .fields = (tab), \
		.n_fields = sizeof(tab) / sizeof((tab)[0]), .fd = (fdrule)     \
	}
/* A type without fields still has a struct (C17 wants one member). */
#define MSG_TYPE_EMPTY(num, nm, fdrule)                                        \
	{                                                                      \
		.id = (num), .name = (nm), .size = 0, .fields = NULL,          \
		.n_fields = 0, .fd = (fdrule)                                  \
	}

struct msg_header {
	uint32_t len;
	uint16_t type;
	bool has_fd;
};

/* Append header and payload of m to out. ERR_TOO_BIG when a span is longer
 * than its field allows: the caller's own limit was wrong. */
MUST_USE int msg_encode(
    const struct msg_type *t, const void *m, bool has_fd, struct buf *out);

/* The longest payload that its table allows, MSG_MAX at most. */
size_t msg_longest(const struct msg_type *t);

/* ERR_TRUNCATED until MSG_HEADER_LEN bytes are there. */
MUST_USE int msg_header_decode(struct span in, struct msg_header *h);

/* Fill m (t->size bytes) from a whole payload. Spans in m borrow from it. */
MUST_USE int msg_decode(const struct msg_type *t, struct span payload, void *m);

#endif
