/* SPDX-License-Identifier: ISC */
/* What for: what the minter did, where it cannot be undone unseen. Trusts:
 * the directory, which the supervisor checked. At a bound: fails for good. */
#include "minter/audit.h"

#include "lib/log.h"
#include "lib/safefile.h"
#include "lib/segments.h"
#include "minter/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGAIN (64 * 1024)

struct audit {
	int dirfd;
	struct chainlog *chain;
	uint32_t segment;	/* the file of now */
	uint64_t segment_bytes; /* of one */
	uint64_t again;		/* bytes of it at which another is tried */
	struct jwks known;	/* what keys.json says */
	const struct signing *keys;
	uint64_t sealed; /* seq of the last line that is signed */
	bool failed;
};

static int
read_known(struct audit *a)
{
	uint8_t text[JWKS_JSON_MAX];
	/* Something that is no file may have nothing to be read for ever. */
	int fd = openat(a->dirfd, AUDIT_KEYS,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? 0 : ERR_IO;
	ssize_t n = read(fd, text, sizeof(text));
	close(fd);
	if (n < 0)
		return ERR_IO;
	return jwks_parse(span_of(text, (size_t)n), &a->known);
}

static int
open_chain(struct audit *a)
{
	struct segments s;
	int before = -1, fd, r = segments_find(a->dirfd, AUDIT_CHAIN, &s);

	if (r != 0)
		return r;
	a->segment = s.last == 0 ? 1 : s.last;
	if ((fd = segment_open(a->dirfd, AUDIT_CHAIN, a->segment)) < 0)
		return ERR_IO;
	if (a->segment > 1)
		before = segment_read(a->dirfd, AUDIT_CHAIN, a->segment - 1);
	r = chainlog_open(fd, before, AUDIT_CHAIN, &a->chain);
	if (before >= 0)
		close(before);
	return r;
}

/* Its name is on disk before a line is in it. When none can be made the old
 * file goes on. */
static void
look_at_length(struct audit *a)
{
	uint64_t bytes = chainlog_bytes(a->chain);

	if (a->failed || bytes < a->segment_bytes || bytes < a->again)
		return;
	a->again = bytes + AGAIN;
	int fd = segment_open(a->dirfd, AUDIT_CHAIN, a->segment + 1);
	if (fd >= 0 && fsync(a->dirfd) != 0) {
		close(fd);
		fd = -1;
	}
	int r = fd < 0 ? ERR_IO : chainlog_next(a->chain, fd);
	if (r == 0) {
		a->segment++;
		a->again = 0;
	} else {
		log_event(LOG_ERROR, "audit_not_rotated", LOG_ERR(r));
	}
}

void
audit_segment(struct audit *a, uint64_t bytes)
{
	a->segment_bytes = bytes;
}

int
audit_open(int dirfd, struct audit **out, char *why, size_t size)
{
	struct audit *a = calloc(1, sizeof(*a));
	int r;

	if (a == NULL) {
		close(dirfd);
		return ERR_NOMEM;
	}
	a->dirfd = dirfd;
	a->segment_bytes = UINT64_MAX;
	if ((r = open_chain(a)) != 0) {
		(void)snprintf(why, size, "%s: %s; hatcheck audit verify",
		    AUDIT_FILE, err_text(r));
	} else if ((r = read_known(a)) != 0) {
		(void)snprintf(why, size,
		    "%s: %s; move it away, a new one is made", AUDIT_KEYS,
		    err_text(r));
	}
	if (r != 0) {
		audit_free(a);
		return r;
	}
	*out = a;
	return 0;
}

void
audit_free(struct audit *a)
{
	if (a == NULL)
		return;
	chainlog_free(a->chain);
	close(a->dirfd);
	free(a);
}

/* {"event":…} without its braces, as chainlog wants it. */
static char *
encode(const char *event, json_t *fields)
{
	json_t *o = json_pack(
	    "{s:s, s:I}", "event", event, "time", (json_int_t)clock_wall_ms());
	char *text = NULL;

	if (o != NULL && (fields == NULL || json_object_update(o, fields) == 0))
		text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(o);
	json_decref(fields);
	return text;
}

int
audit_line(struct audit *a, const char *event, json_t *fields)
{
	char *text = encode(event, fields);
	int r = ERR_NOMEM;

	look_at_length(a);
	if (text != NULL && !a->failed)
		r = chainlog_append(
		    a->chain, span_of(text + 1, strlen(text) - 2));
	free(text);
	if (r != 0)
		a->failed = true; /* also a line that we could not make */
	return a->failed ? ERR_IO : 0;
}

int
audit_sync(struct audit *a)
{
	if (a->failed || chainlog_sync(a->chain) != 0)
		a->failed = true;
	return a->failed ? ERR_IO : 0;
}

int
audit_act(struct audit *a, const char *event, json_t *fields)
{
	int r = audit_line(a, event, fields);

	return r != 0 ? r : audit_sync(a);
}

bool
audit_unsynced(const struct audit *a)
{
	return !a->failed && chainlog_unsynced(a->chain);
}

bool
audit_ok(const struct audit *a)
{
	return !a->failed;
}

/* The current key first, then the older ones that still fit. */
static void
merge(struct jwks *set, const struct jwks *old)
{
	for (size_t i = 0; i < old->n && set->n < JWKS_MAX; i++) {
		if (jwks_find(set, span_str(old->keys[i].kid)) == NULL)
			set->keys[set->n++] = old->keys[i];
	}
}

static int
write_known(struct audit *a)
{
	struct buf *b = buf_new(JWKS_JSON_MAX);
	int r = b == NULL ? ERR_NOMEM : jwks_encode(&a->known, b);

	if (r == 0)
		r = safefile_write(a->dirfd, AUDIT_KEYS, buf_span(b));
	buf_free(b);
	return r;
}

int
audit_use_key(struct audit *a, const struct signing *keys, int64_t now)
{
	struct jwks set = {0};

	signing_public(keys, now, &set);
	merge(&set, &a->known);
	a->known = set;
	a->keys = keys;
	return write_known(a);
}

static int
sign(struct audit *a, struct span message, struct buf *out)
{
	uint8_t sig[SIGNING_SIGNATURE];
	int r = signing_sign(a->keys, message, sig);

	return r != 0 ? r : b64url_put(span_of(sig, sizeof(sig)), out);
}

static json_t *
text_of(struct span s)
{
	return json_stringn((const char *)s.p, s.n);
}

/* Three buffers at most for what both lines below are made of. */
struct signed_line {
	struct buf *message, *hash, *sig;
};

static int
signed_new(struct signed_line *s, const uint8_t hash[static CHAINLOG_HASH])
{
	*s = (struct signed_line){
	    .message = buf_new(256), .hash = buf_new(64), .sig = buf_new(128)};
	if (s->message == NULL || s->hash == NULL || s->sig == NULL)
		return ERR_NOMEM;
	return b64url_put(span_of(hash, CHAINLOG_HASH), s->hash);
}

static void
signed_free(struct signed_line *s)
{
	buf_free(s->message);
	buf_free(s->hash);
	buf_free(s->sig);
}

int
audit_anchor(
    struct audit *a, const char *session, const struct chainlog_head *head)
{
	struct chainlog_head after = chainlog_head(a->chain);
	struct signed_line s;
	int r = signed_new(&s, head->hash);

	if (r == 0 && a->keys == NULL)
		r = ERR_SEQUENCE;
	if (r == 0 &&
	    (r = audit_anchor_message(session, head, &after, s.message)) == 0 &&
	    (r = sign(a, buf_span(s.message), s.sig)) == 0 &&
	    (r = audit_line(a, "anchor",
		 json_pack("{s:s, s:I, s:o, s:s, s:o}", "session", session,
		     "head", (json_int_t)head->seq, "hash",
		     text_of(buf_span(s.hash)), "kid", signing_kid(a->keys),
		     "sig", text_of(buf_span(s.sig))))) == 0)
		a->sealed = after.seq + 1;
	signed_free(&s);
	return r;
}

int
audit_seal(struct audit *a)
{
	struct chainlog_head head = chainlog_head(a->chain);

	return head.seq <= a->sealed ? 0 : audit_anchor(a, AUDIT_CHAIN, &head);
}

int
audit_carry(struct audit *a, json_t *line)
{
	return audit_line(a, "carried", json_pack("{s:O}", "line", line));
}

int
audit_removed(struct audit *a, const char *chain, uint64_t from,
    const struct chainlog_head *last, const char *why, bool whole)
{
	struct chainlog_head after = chainlog_head(a->chain);
	struct signed_line s;
	int r = signed_new(&s, last->hash);

	if (r == 0 && a->keys == NULL)
		r = ERR_SEQUENCE;
	if (r == 0 &&
	    (r = audit_removed_message(chain, from, last, &after, s.message)) ==
		0 &&
	    (r = sign(a, buf_span(s.message), s.sig)) == 0 &&
	    (r = audit_act(a, "audit_removed",
		 json_pack("{s:s, s:I, s:I, s:o, s:s, s:b, s:s, s:o}",
		     "session", chain, "from", (json_int_t)from, "upto",
		     (json_int_t)last->seq, "hash", text_of(buf_span(s.hash)),
		     "why", why, "whole", whole, "kid", signing_kid(a->keys),
		     "sig", text_of(buf_span(s.sig))))) == 0)
		a->sealed = after.seq + 1;
	signed_free(&s);
	return r;
}
