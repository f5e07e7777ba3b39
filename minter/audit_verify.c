/* SPDX-License-Identifier: ISC */
/* What for: shows what was done to an audit directory. Trusts: keys.json,
 * and of it nothing but the keys. At a bound: a finding, never a guess. */
#include "minter/audit_verify.h"

#include "minter/audit.h"
#include "minter/audit_said.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int
read_keys(struct check *c, const char *path)
{
	uint8_t text[JWKS_JSON_MAX];
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC)
			      : openat(c->dirfd, AUDIT_KEYS,
				    O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
					O_NONBLOCK);
	const char *name = path != NULL ? path : AUDIT_KEYS;

	if (fd < 0) {
		said_note(c, path != NULL ? AUDIT_BAD : AUDIT_WARNING, name, 0,
		    "no public keys: anchors cannot be checked");
		return 0;
	}
	ssize_t n = read(fd, text, sizeof(text));
	close(fd);
	if (n < 0)
		return ERR_IO;
	if (jwks_parse(span_of(text, (size_t)n), &c->keys) != 0)
		said_note(c, AUDIT_BAD, name, 0, "is no strict JWKS document");
	return 0;
}

static int
each_session_line(void *ctx, const struct chainlog_head *at, struct span line)
{
	struct check *c = ctx;

	(void)line;
	c->report.lines++;
	for (size_t i = said_first(c, c->session, at->seq);
	     i < c->n_anchors &&
	     said_compare(&c->anchors[i], c->session, at->seq) == 0;
	     i++) {
		struct anchor *a = &c->anchors[i];
		a->met = true;
		if (memcmp(a->head.hash, at->hash, CHAINLOG_HASH) != 0)
			said_note(c, AUDIT_BAD, c->file, at->seq - c->base,
			    "the line is not the one that %s:%llu anchored",
			    a->file, (unsigned long long)a->line);
	}
	return 0;
}

/* One file of a chain, which begins it or goes on after *head; findings are
 * noted. */
static int
check_file(struct check *c, bool begins, const char *name, chainlog_each *each,
    struct chainlog_head *head)
{
	int fd = openat(c->dirfd, c->file,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	struct stat st;
	uint64_t line = 0;
	char why[256] = "";

	if (f == NULL) {
		said_note(c, AUDIT_BAD, c->file, 0, "cannot be read: %s",
		    strerror(errno));
		if (fd >= 0)
			close(fd);
		return 0;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		said_note(c, AUDIT_BAD, c->file, 0, "is no regular file");
		fclose(f);
		return 0;
	}
	c->base = head->seq;
	int r = chainlog_verify(f, name, begins ? NULL : head, each, c, head,
	    &line, why, sizeof(why));
	fclose(f);
	c->report.files++;
	if (r != ERR_CRYPTO && r != ERR_FORMAT && r != ERR_TRUNCATED &&
	    r != ERR_TOO_BIG)
		return r;
	said_note(c, AUDIT_BAD, c->file, line, "%s",
	    why[0] != '\0' ? why : err_text(r));
	return 0;
}

/* Anchors of lines that are gone: the last of them must be what the first
 * line that is there follows. */
static void
excuse(struct check *c, const char *session, const struct chainlog_head *start)
{
	for (size_t i = said_first(c, session, 0);
	     i < c->n_anchors && strcmp(c->anchors[i].session, session) == 0 &&
	     c->anchors[i].head.seq <= start->seq;
	     i++) {
		struct anchor *a = &c->anchors[i];
		a->met = true;
		if (a->head.seq == start->seq && a->head.seq != 0 &&
		    memcmp(a->head.hash, start->hash, CHAINLOG_HASH) != 0)
			said_note(c, AUDIT_BAD, c->file, 1,
			    "the line before this one is not the one that "
			    "%s:%llu names",
			    a->file, (unsigned long long)a->line);
	}
}

/* The files before this one are gone: what it says that it follows. */
static int
find_start(struct check *c, const struct part *p, struct chainlog_head *head)
{
	struct chainlog_head last;
	int fd = segment_read(c->dirfd, p->chain, p->n);
	int r = fd < 0 ? ERR_IO : chainlog_ends(fd, head, &last);

	if (fd >= 0)
		close(fd);
	if (r != 0 && r != ERR_NOMEM)
		said_note(c, AUDIT_BAD, c->file, 1,
		    "the files before it are missing, and its own ends cannot "
		    "be read");
	return r == ERR_NOMEM ? r : 0;
}

/* May what was before it be gone? All statements are read by now. */
static void
judge_start(
    struct check *c, const char *chain, const struct chainlog_head *start)
{
	uint64_t upto = said_removed(c, chain);

	if (start->seq > upto)
		said_note(c, AUDIT_BAD, c->file, 0,
		    "lines up to %llu are missing; retention removed them up "
		    "to %llu only",
		    (unsigned long long)start->seq, (unsigned long long)upto);
	else
		said_note(c, AUDIT_GOOD, c->file, 0,
		    "removed by retention up to seq %llu",
		    (unsigned long long)start->seq);
	excuse(c, chain, start);
}

/* The files of one chain in their order, after *head if the first is not
 * its first, until one is bad. */
static int
check_chain(struct check *c, const struct part *p, size_t n,
    chainlog_each *each, struct chainlog_head *head)
{
	uint64_t bad = c->report.bad;
	uint32_t next = p->n;
	int r = 0;

	for (size_t i = 0; r == 0 && bad == c->report.bad && i < n; i++) {
		segment_name(p[i].chain, p[i].n, c->file);
		if (p[i].n != next)
			said_note(c, AUDIT_BAD, c->file, 0,
			    "the file before it is missing");
		else
			r = check_file(c, p[i].n == 1, p[i].chain, each, head);
		next++;
	}
	return r;
}

/* After a session's file was read to its good end. */
static void
check_tail(struct check *c, const struct chainlog_head *head, bool whole)
{
	uint64_t last = 0;

	for (size_t i = said_first(c, c->session, 0);
	     i < c->n_anchors && strcmp(c->anchors[i].session, c->session) == 0;
	     i++) {
		struct anchor *a = &c->anchors[i];
		if (!a->met && a->head.seq != 0 && whole)
			said_note(c, AUDIT_BAD, c->file, a->head.seq - c->base,
			    "the file ends at line %llu, but %s:%llu anchored "
			    "this one: its tail was cut",
			    (unsigned long long)(head->seq - c->base), a->file,
			    (unsigned long long)a->line);
		a->met = true;
		last = a->head.seq > last ? a->head.seq : last;
	}
	if (!whole || head->seq <= last)
		return;
	c->report.unanchored += head->seq - last;
	said_note(c, AUDIT_WARNING, c->file,
	    last > c->base ? last - c->base + 1 : 1,
	    "%llu lines after the last anchor: had more been cut off there, "
	    "it would not show",
	    (unsigned long long)(head->seq - last));
}

static int
check_session(struct check *c, const struct part *p, size_t n)
{
	struct chainlog_head head = {0};
	uint64_t bad = c->report.bad;

	c->session = p->chain;
	segment_name(p->chain, p->n, c->file);
	size_t at = said_first(c, p->chain, 0);
	if (at == c->n_anchors || strcmp(c->anchors[at].session, p->chain) != 0)
		said_note(c, AUDIT_BAD, c->file, 0,
		    "no line of %s made or anchored this session: lines were "
		    "cut off there",
		    AUDIT_FILE);
	int r = p->n == 1 ? 0 : find_start(c, p, &head);
	if (r == 0 && p->n != 1 && bad == c->report.bad)
		judge_start(c, p->chain, &head);
	if (r == 0 && bad == c->report.bad)
		r = check_chain(c, p, n, each_session_line, &head);
	if (r == 0)
		check_tail(c, &head, bad == c->report.bad);
	if (r == 0 && bad == c->report.bad)
		said_note(c, AUDIT_GOOD, c->file, 0, "%llu lines in one chain",
		    (unsigned long long)head.seq);
	return r;
}

static int
by_chain(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int c = strcmp(x->chain, y->chain);

	return c != 0 ? c : x->n < y->n ? -1 : x->n > y->n;
}

static int
add_part(struct check *c, const char *file)
{
	size_t n = strlen(file);
	struct part p;

	if (n < 6 || strcmp(file + n - 6, ".jsonl") != 0)
		return 0;
	if (!segment_parse(file, p.chain, &p.n)) {
		said_note(c, AUDIT_WARNING, file, 0, "is no session's file");
		return 0;
	}
	if (said_grow(&c->parts, c->n_parts, &c->parts_room, sizeof(p)) == NULL)
		return ERR_NOMEM;
	c->parts[c->n_parts++] = p;
	return 0;
}

static int
find_parts(struct check *c)
{
	int fd = openat(c->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		r = add_part(c, e->d_name);
	closedir(d);
	if (c->n_parts > 0)
		qsort(c->parts, c->n_parts, sizeof(c->parts[0]), by_chain);
	return r;
}

/* How many of p are of its chain. */
static size_t
chain_length(const struct check *c, size_t at)
{
	size_t n = 1;

	while (at + n < c->n_parts &&
	       strcmp(c->parts[at].chain, c->parts[at + n].chain) == 0)
		n++;
	return n;
}

static int
check_sessions(struct check *c)
{
	int r = 0;

	for (size_t i = 0, n; r == 0 && i < c->n_parts; i += n) {
		n = chain_length(c, i);
		if (strcmp(c->parts[i].chain, AUDIT_CHAIN) != 0)
			r = check_session(c, &c->parts[i], n);
	}
	return r;
}

static void
check_missing_files(struct check *c)
{
	for (size_t i = 0; i < c->n_anchors; i++) {
		struct anchor *a = &c->anchors[i];
		char file[SEGMENT_NAME_MAX];

		if (a->met || a->head.seq == 0)
			continue;
		segment_name(a->session, 1, file);
		uint64_t upto = said_removed(c, a->session);
		if (a->head.seq <= upto) {
			said_note(c, AUDIT_GOOD, file, 0,
			    "removed by retention up to seq %llu",
			    (unsigned long long)upto);
			for (size_t j = i; j < c->n_anchors; j++)
				c->anchors[j].met |=
				    said_compare(&c->anchors[j], a->session,
					upto) <= 0 &&
				    strcmp(c->anchors[j].session, a->session) ==
					0;
			continue;
		}
		said_note(c, AUDIT_BAD, file, 0,
		    "is missing; %s:%llu anchored it", a->file,
		    (unsigned long long)a->line);
		for (size_t j = i; j < c->n_anchors; j++)
			c->anchors[j].met |=
			    strcmp(c->anchors[j].session, a->session) == 0;
	}
}

/* Its hashes alone prove nothing: who can write it can make others. */
static void
warn_of_end(struct check *c, uint64_t last, uint64_t start)
{
	uint64_t sealed = c->sealed > start ? c->sealed : start;

	if (last == sealed)
		return;
	c->report.unanchored += last - sealed;
	said_note(c, AUDIT_WARNING, c->file, 0,
	    "%llu lines after the last that is signed: had they been changed, "
	    "it would not show",
	    (unsigned long long)(last - sealed));
}

/* What may be missing of it stands in it. */
static int
check_minter(struct check *c)
{
	struct part none = {.chain = AUDIT_CHAIN, .n = 1};
	const struct part *p = &none;
	struct chainlog_head start = {0}, head;
	uint64_t bad = c->report.bad;
	size_t at = 0, n = 1;
	int r = 0;

	while (at < c->n_parts && strcmp(c->parts[at].chain, AUDIT_CHAIN) != 0)
		at += chain_length(c, at);
	if (at < c->n_parts) {
		p = &c->parts[at];
		n = chain_length(c, at);
	}
	segment_name(p->chain, p->n, c->file);
	if (p->n != 1)
		r = find_start(c, p, &start);
	head = start;
	c->gone = start.seq;
	if (r == 0 && bad == c->report.bad)
		r = check_chain(c, p, n, said_line, &head);
	said_sort(c);
	segment_name(p->chain, p->n, c->file);
	if (r == 0 && p->n != 1 && bad == c->report.bad)
		judge_start(c, p->chain, &start);
	said_meet(c, p->chain);
	if (r == 0 && bad == c->report.bad)
		said_note(c, AUDIT_GOOD, c->file, 0,
		    "%llu lines in one chain, %llu anchors; lines cut off "
		    "its own end would not show",
		    (unsigned long long)(head.seq - start.seq),
		    (unsigned long long)c->report.anchors);
	if (r == 0 && bad == c->report.bad)
		warn_of_end(c, head.seq, start.seq);
	return r;
}

int
audit_verify(const char *dir, const char *keys, audit_verify_note *cb,
    void *ctx, struct audit_report *out)
{
	struct check c = {.note = cb, .ctx = ctx};
	int r;

	c.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.dirfd < 0)
		return ERR_IO;
	if ((r = read_keys(&c, keys)) == 0 && (r = find_parts(&c)) == 0 &&
	    (r = check_minter(&c)) == 0 && (r = check_sessions(&c)) == 0)
		check_missing_files(&c);
	close(c.dirfd);
	free(c.anchors);
	free(c.parts);
	free(c.removals);
	if (r != 0)
		return r;
	*out = c.report;
	return c.report.bad == 0 ? 0 : ERR_CRYPTO;
}
