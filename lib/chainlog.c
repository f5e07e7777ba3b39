/* SPDX-License-Identifier: ISC */
/* What for: hash-chained JSON lines. Trusts: nothing that is read back. At
 * a bound: a line that is too long is refused; a failed write is final. */
#include "lib/chainlog.h"

#include "lib/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(CHAINLOG_HASH == SHA256_SIZE, "SHA-256");

#define HASH_TEXT 43 /* base64url of 32 bytes, without padding */
#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING
/* two whole lines and a torn one */
#define TAIL_MAX (3 * CHAINLOG_LINE_MAX)
/* As many lines as wait to be written together, at most. */
#define BATCH_MAX (8 * CHAINLOG_LINE_MAX)

struct chainlog {
	int fd;
	struct chainlog_head head; /* of the last line put */
	struct buf *batch;	   /* put, not written */
	uint64_t bytes;		   /* put */
	bool unsynced, failed;
};

static bool
take(struct span *s, const char *text)
{
	struct span want = span_str(text);

	if (s->n < want.n || !span_eq(span_of(s->p, want.n), want))
		return false;
	*s = span_from(*s, want.n);
	return true;
}

/* {"seq":N,"prev":"...", -- exactly as we write it. */
static int
parse_prefix(struct span line, uint64_t *seq, uint8_t prev[CHAINLOG_HASH])
{
	size_t n = 0, len;

	if (!take(&line, "{\"seq\":"))
		return ERR_FORMAT;
	while (n < line.n && line.p[n] >= '0' && line.p[n] <= '9')
		n++;
	if (span_u64(span_of(line.p, n), UINT64_MAX, seq) != 0)
		return ERR_FORMAT;
	line = span_from(line, n);
	if (!take(&line, ",\"prev\":\"") || line.n < HASH_TEXT ||
	    sodium_base642bin(prev, CHAINLOG_HASH, (const char *)line.p,
		HASH_TEXT, NULL, &len, NULL, BASE64) != 0 ||
	    len != CHAINLOG_HASH)
		return ERR_FORMAT;
	line = span_from(line, HASH_TEXT);
	return take(&line, "\",") && line.n > 1 && line.p[line.n - 1] == '}'
		   ? 0
		   : ERR_FORMAT;
}

/* The last line of s (which ends in a newline), without its newline. */
static struct span
last_line(struct span s)
{
	size_t end = s.n - 1, at = end;

	while (at > 0 && s.p[at - 1] != '\n')
		at--;
	return span_of(s.p + at, end - at);
}

static int
read_tail(int fd, off_t size, uint8_t *p, size_t *n)
{
	size_t want = size < TAIL_MAX ? (size_t)size : TAIL_MAX;
	off_t from = size - (off_t)want;
	size_t got = 0;

	while (got < want) {
		ssize_t r = pread(fd, p + got, want - got, from + (off_t)got);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return ERR_IO;
		got += (size_t)r;
	}
	*n = want;
	return 0;
}

/* A line without its newline was never acknowledged: cut it off. */
static int
cut_torn(int fd, off_t *size, const uint8_t *p, size_t *n)
{
	size_t torn = 0;

	while (torn < *n && p[*n - 1 - torn] != '\n')
		torn++;
	if (torn == 0)
		return 0;
	if (torn >= CHAINLOG_LINE_MAX)
		return ERR_CRYPTO; /* no line of ours is that long */
	*n -= torn;
	*size -= (off_t)torn;
	return ftruncate(fd, *size) == 0 && fdatasync(fd) == 0 ? 0 : ERR_IO;
}

/* tail: whole lines at the file's end, all of them when whole is true.
 * start: what its first line follows; NULL: that cannot be told. */
static int
head_of(struct span tail, bool whole, const struct chainlog_head *start,
    struct chainlog_head *head)
{
	uint8_t want[CHAINLOG_HASH], prev[CHAINLOG_HASH];
	struct span line = last_line(tail), before;
	uint64_t seq, seq_before = 0;

	if (parse_prefix(line, &seq, prev) != 0)
		return ERR_CRYPTO;
	before = span_of(tail.p, tail.n - line.n - 1);
	if (before.n > 0) {
		uint8_t ignored[CHAINLOG_HASH];
		before = last_line(before);
		if (parse_prefix(before, &seq_before, ignored) != 0)
			return ERR_CRYPTO;
		if (sha256(before, want) != 0)
			return ERR_NOMEM;
	} else if (whole) {
		seq_before = start != NULL ? start->seq : seq - 1;
		memcpy(want, start != NULL ? start->hash : prev, sizeof(want));
	} else {
		return ERR_CRYPTO;
	}
	if (memcmp(want, prev, sizeof(want)) != 0 || seq != seq_before + 1)
		return ERR_CRYPTO;
	head->seq = seq;
	return sha256(line, head->hash);
}

static int
find_head(int fd, off_t *size, const struct chainlog_head *start,
    struct chainlog_head *head)
{
	uint8_t *p = malloc(TAIL_MAX);
	size_t n;
	int r;

	if (p == NULL)
		return ERR_NOMEM;
	if ((r = read_tail(fd, *size, p, &n)) != 0 ||
	    (r = cut_torn(fd, size, p, &n)) != 0)
		goto out;
	if (n > 0) {
		r = head_of(span_of(p, n), (off_t)n == *size, start, head);
	} else {
		*head = *start;
	}
out:
	free(p);
	return r;
}

/* The last whole line of a file that is not ours to change. */
static int
read_last(int fd, struct chainlog_head *head)
{
	uint8_t *p = malloc(TAIL_MAX);
	struct stat st;
	size_t n = 0;
	int r = p == NULL			   ? ERR_NOMEM
		: syscall(SYS_fstat, fd, &st) != 0 ? ERR_IO
						   : 0;

	if (r == 0)
		r = read_tail(fd, st.st_size, p, &n);
	bool whole = r == 0 && (off_t)n == st.st_size;
	while (n > 0 && p[n - 1] != '\n')
		n--;
	if (r == 0)
		r = n == 0 ? ERR_NOT_FOUND
			   : head_of(span_of(p, n), whole, NULL, head);
	free(p);
	return r;
}

static int
read_first(int fd, struct chainlog_head *before)
{
	uint8_t *p = malloc(CHAINLOG_LINE_MAX);
	ssize_t n = p == NULL ? -1 : pread(fd, p, CHAINLOG_LINE_MAX, 0);
	const uint8_t *end = n <= 0 ? NULL : memchr(p, '\n', (size_t)n);
	uint64_t seq = 0;
	int r = end == NULL ? ERR_NOT_FOUND
			    : parse_prefix(span_of(p, (size_t)(end - p)), &seq,
				  before->hash);

	free(p);
	if (r == 0 && seq == 0)
		r = ERR_FORMAT;
	before->seq = seq - 1;
	return r;
}

int
chainlog_ends(int fd, struct chainlog_head *before, struct chainlog_head *last)
{
	struct chainlog_head b = {0}, l = {0};
	int r;

	if ((r = read_first(fd, &b)) != 0 || (r = read_last(fd, &l)) != 0)
		return r;
	*before = b;
	*last = l;
	return 0;
}

static int
find_start(int before, const char *name, struct chainlog_head *start)
{
	if (before >= 0)
		return read_last(before, start) == 0 ? 0 : ERR_CRYPTO;
	start->seq = 0;
	return sha256(span_str(name), start->hash);
}

/* fstat() by number: libc's may be newfstatat(), which a process without
 * files is not allowed. */
static int
check_file(int fd, struct stat *st)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || syscall(SYS_fstat, fd, st) != 0)
		return ERR_IO;
	return S_ISREG(st->st_mode) && (flags & O_APPEND) != 0 &&
		       (flags & O_ACCMODE) == O_RDWR
		   ? 0
		   : ERR_ARGUMENT;
}

int
chainlog_open(int fd, int before, const char *name, struct chainlog **out)
{
	struct chainlog_head start = {0};
	struct chainlog *c = NULL;
	struct stat st;
	int r = check_file(fd, &st);

	if (r == 0)
		r = (c = calloc(1, sizeof(*c))) == NULL ||
			    (c->batch = buf_new(BATCH_MAX)) == NULL
			? ERR_NOMEM
			: 0;
	if (r != 0 || (r = find_start(before, name, &start)) != 0 ||
	    (r = find_head(fd, &st.st_size, &start, &c->head)) != 0) {
		if (c != NULL)
			buf_free(c->batch);
		free(c);
		close(fd);
		return r;
	}
	c->fd = fd;
	c->bytes = (uint64_t)st.st_size;
	*out = c;
	return 0;
}

void
chainlog_free(struct chainlog *c)
{
	if (c == NULL)
		return;
	close(c->fd);
	buf_free(c->batch);
	free(c);
}

int
chainlog_flush(struct chainlog *c)
{
	struct span all = buf_span(c->batch);
	ssize_t w;

	if (c->failed)
		return ERR_IO;
	if (all.n == 0)
		return 0;
	do
		w = write(c->fd, all.p, all.n);
	while (w < 0 && errno == EINTR);
	buf_reset(c->batch);
	if (w >= 0 && (size_t)w == all.n)
		return 0;
	c->failed = true;
	return ERR_IO;
}

static int
put_line(struct buf *b, const struct chainlog_head *head, struct span fields)
{
	char prev[HASH_TEXT + 1];
	int r;

	sodium_bin2base64(
	    prev, sizeof(prev), head->hash, CHAINLOG_HASH, BASE64);
	(void)((r = buf_put_str(b, "{\"seq\":")) != 0 ||
	       (r = buf_put_dec(b, head->seq + 1)) != 0 ||
	       (r = buf_put_str(b, ",\"prev\":\"")) != 0 ||
	       (r = buf_put_str(b, prev)) != 0 ||
	       (r = buf_put_str(b, "\",")) != 0 ||
	       (r = buf_put_span(b, fields)) != 0 ||
	       (r = buf_put_str(b, "}\n")) != 0);
	return r;
}

/* What a line has beside its fields, at most: 16 digits count further than
 * any disk. */
#define LINE_EXTRA (sizeof("{\"seq\":,\"prev\":\"\",}\n") - 1 + 16 + HASH_TEXT)

int
chainlog_put(struct chainlog *c, struct span fields)
{
	size_t before;
	int r;

	if (c->failed)
		return ERR_IO;
	if (fields.n == 0 || memchr(fields.p, '\n', fields.n) != NULL ||
	    memchr(fields.p, 0, fields.n) != NULL)
		return ERR_FORMAT;
	if (fields.n > CHAINLOG_LINE_MAX - LINE_EXTRA)
		return ERR_TOO_BIG;
	if (buf_room(c->batch) < fields.n + LINE_EXTRA &&
	    (r = chainlog_flush(c)) != 0)
		return r;
	before = buf_len(c->batch);
	if ((r = put_line(c->batch, &c->head, fields)) != 0) {
		c->failed = true; /* half a line is in the batch */
		return r;
	}
	struct span line = span_from(buf_span(c->batch), before);
	c->head.seq++;
	c->bytes += line.n;
	c->unsynced = true;
	r = sha256(span_of(line.p, line.n - 1), c->head.hash);
	c->failed = r != 0; /* nothing can follow it */
	return r;
}

int
chainlog_append(struct chainlog *c, struct span fields)
{
	int r = chainlog_put(c, fields);

	return r != 0 ? r : chainlog_flush(c);
}

int
chainlog_sync(struct chainlog *c)
{
	int r = chainlog_flush(c);

	if (r != 0 || !c->unsynced)
		return r;
	if (fdatasync(c->fd) != 0) {
		c->failed = true;
		return ERR_IO;
	}
	c->unsynced = false;
	return 0;
}

int
chainlog_next(struct chainlog *c, int fd)
{
	struct stat st;
	int r = check_file(fd, &st);

	if (r == 0 && st.st_size != 0)
		r = ERR_ARGUMENT;
	if (r == 0)
		r = chainlog_sync(c);
	if (r != 0) {
		close(fd);
		return r;
	}
	close(c->fd);
	c->fd = fd;
	c->bytes = 0;
	return 0;
}

bool
chainlog_unsynced(const struct chainlog *c)
{
	return c->unsynced;
}

bool
chainlog_failed(const struct chainlog *c)
{
	return c->failed;
}

struct chainlog_head
chainlog_head(const struct chainlog *c)
{
	return c->head;
}

uint64_t
chainlog_bytes(const struct chainlog *c)
{
	return c->bytes;
}

/* Why this line does not follow head, or NULL. */
static const char *
check_line(struct span line, const struct chainlog_head *head)
{
	uint8_t prev[CHAINLOG_HASH];
	uint64_t seq;

	if (memchr(line.p, 0, line.n) != NULL ||
	    parse_prefix(line, &seq, prev) != 0)
		return "this line is not one of a chain";
	if (memcmp(prev, head->hash, sizeof(prev)) != 0)
		return "the line before was changed, removed or moved";
	if (seq != head->seq + 1)
		return "its number does not follow the one before";
	return NULL;
}

/* One line into text: its length without newline, 0 with *end at the end
 * of the file, or ERR_FORMAT for a line without end. */
static int
read_line(FILE *f, uint8_t *text, size_t *n, bool *end)
{
	int c;

	*n = 0;
	while ((c = getc_unlocked(f)) != EOF && c != '\n') {
		if (*n == CHAINLOG_LINE_MAX)
			return ERR_FORMAT;
		text[(*n)++] = (uint8_t)c;
	}
	if (ferror(f))
		return ERR_IO;
	*end = c == EOF && *n == 0;
	return c == EOF && *n > 0 ? ERR_TRUNCATED : 0;
}

static int
verify_lines(FILE *f, uint8_t *text, chainlog_each *each, void *ctx,
    struct chainlog_head *head, uint64_t *line, const char **why)
{
	for (uint64_t i = 1;; i++) {
		bool end = false;
		size_t n;
		int r = read_line(f, text, &n, &end);

		*line = i;
		if (r == ERR_IO)
			*why = "the file cannot be read";
		if (r == ERR_FORMAT)
			*why = "this line is longer than any of a chain";
		if (r == ERR_TRUNCATED)
			*why = "the last line has no end: its write was cut "
			       "short";
		if (r != 0)
			return r == ERR_TRUNCATED ? ERR_FORMAT : r;
		if (end)
			return 0;
		if ((*why = check_line(span_of(text, n), head)) != NULL)
			return ERR_CRYPTO;
		head->seq++;
		if ((r = sha256(span_of(text, n), head->hash)) != 0)
			return r;
		if (each != NULL &&
		    (r = each(ctx, head, span_of(text, n))) != 0)
			return r;
	}
}

int
chainlog_verify(FILE *f, const char *name, const struct chainlog_head *from,
    chainlog_each *each, void *ctx, struct chainlog_head *head, uint64_t *line,
    char *why, size_t size)
{
	uint8_t *text = malloc(CHAINLOG_LINE_MAX);
	const char *sentence = "";
	struct chainlog_head h = {0};
	uint64_t at = 0;
	int r = text == NULL ? ERR_NOMEM : 0;

	if (from != NULL)
		h = *from;
	else if (r == 0)
		r = sha256(span_str(name), h.hash);
	if (r == 0)
		r = verify_lines(f, text, each, ctx, &h, &at, &sentence);
	free(text);
	if (r == 0) {
		*head = h;
	} else {
		*line = at;
		snprintf(why, size, "%s", sentence == NULL ? "" : sentence);
	}
	return r;
}

/* The character at s.p: its length and value, or 0 when it is not UTF-8
 * (overlong, surrogate, beyond U+10FFFF, cut). */
static size_t
utf8_at(struct span s, uint32_t *value)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t c = s.p[0];
	size_t n = c < 0x80   ? 1
		   : c < 0xc2 ? 0
		   : c < 0xe0 ? 2
		   : c < 0xf0 ? 3
		   : c < 0xf5 ? 4
			      : 0;

	if (n == 0 || n > s.n)
		return 0;
	uint32_t v = n == 1 ? c : c & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s.p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (s.p[i] & 0x3f);
	}
	if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	*value = v;
	return n;
}

static bool
is_utf8(struct span s)
{
	uint32_t v;

	while (s.n > 0) {
		size_t n = utf8_at(s, &v);
		if (n == 0)
			return false;
		s = span_from(s, n);
	}
	return true;
}

/* How many bytes from the front need no escape. */
static size_t
plain_run(struct span s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] >= 0x20 && s.p[n] < 0x7f && s.p[n] != '"' &&
	       s.p[n] != '\\')
		n++;
	return n;
}

/* Everything but plain ASCII as escapes: no control and no bidi mark gets
 * into a log or a terminal. */
static int
put_char(struct buf *b, uint32_t v)
{
	if (v == '"' || v == '\\')
		return buf_printf(b, "\\%c", (char)v);
	if (v >= 0x20 && v < 0x7f)
		return buf_put_u8(b, (uint8_t)v);
	if (v < 0x10000)
		return buf_printf(b, "\\u%04x", (unsigned)v);
	v -= 0x10000;
	return buf_printf(b, "\\u%04x\\u%04x", 0xd800 + (unsigned)(v >> 10),
	    0xdc00 + (unsigned)(v & 0x3ff));
}

int
chainlog_put_string(struct buf *b, struct span s, size_t max)
{
	bool text = is_utf8(s);
	size_t used = 0;
	int r = buf_put_u8(b, '"');

	while (r == 0 && s.n > 0) {
		size_t plain = plain_run(s);
		if (plain > 0) {
			plain = plain < max - used ? plain : max - used;
			r = buf_put(b, s.p, plain);
			used += plain;
			s = span_from(s, plain);
			if (used == max)
				break;
			continue;
		}
		uint32_t v = s.p[0];
		size_t n = text ? utf8_at(s, &v) : 1;
		if (used + n > max)
			break;
		r = put_char(b, v);
		used += n;
		s = span_from(s, n);
	}
	return r != 0 ? r : buf_put_u8(b, '"');
}
