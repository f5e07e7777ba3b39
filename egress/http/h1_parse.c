/* SPDX-License-Identifier: ISC */
/* What for: HTTP/1.1 messages out of hostile bytes, for both sides.
 * Trusts: nothing, llhttp and this scanner not even each other: what they
 * read differently is refused.
 * At a bound: ERR_TOO_BIG and the parser is dead. */
#include "egress/http/h1_parse.h"

#include <llhttp.h>
#include <stdlib.h>

enum state {
	S_HEAD,	      /* collecting a head */
	S_LENGTH,     /* left bytes of a body with a length */
	S_CHUNK_SIZE, /* hex digits */
	S_CHUNK_LF,   /* the LF after a chunk's size */
	S_CHUNK_DATA, /* left bytes of a chunk */
	S_DATA_CR,    /* the CRLF after a chunk's bytes */
	S_DATA_LF,
	S_TRAILERS,
	S_UNTIL_CLOSE,
	S_END, /* all consumed, H1_END not said yet */
	S_DONE,
	S_DEAD
};

/* Lines up to and with the empty one. */
struct block {
	struct buf *raw;
	size_t line; /* bytes in the current line so far */
	bool cr;     /* the last byte was CR */
	bool first;  /* in the first line */
};

/* What llhttp saw of the current message. */
struct judge {
	llhttp_t llhttp;
	size_t fields;
	uint64_t body;
	bool complete, differs;
};

struct h1 {
	enum h1_role role;
	enum state state;
	const char *why;
	bool to_head, to_upgrade, begun;
	unsigned interims, digits;
	size_t interim_bytes; /* of all of them */
	uint64_t left, body_bytes;
	struct block head_block, trailer_block;
	struct head head, trailers;
	size_t bytes_max, fields_max; /* of a head */
	struct judge judge;
};

static int
refuse(struct h1 *p, const char *why)
{
	p->why = why;
	return ERR_FORMAT;
}

/* ------------------------------------------------ llhttp, the second */

/* A name must begin a line of the head and end at its colon. (The head was
 * fed whole, so these neighbours are there.) */
static int
judge_field(llhttp_t *l, const char *at, size_t n)
{
	struct h1 *p = l->data;

	if (p->state == S_HEAD && (at[-1] != '\n' || at[n] != ':'))
		p->judge.differs = true;
	return 0;
}

static int
judge_field_complete(llhttp_t *l)
{
	struct h1 *p = l->data;

	p->judge.fields++;
	return 0;
}

static int
judge_headers_complete(llhttp_t *l)
{
	struct h1 *p = l->data;

	/* 304: llhttp would wait for the body that the length speaks of. */
	return p->to_head || llhttp_get_status_code(l) == 304 ? 1 : 0;
}

static int
judge_body(llhttp_t *l, const char *at, size_t n)
{
	struct h1 *p = l->data;

	(void)at;
	p->judge.body += n;
	return 0;
}

static int
judge_message_complete(llhttp_t *l)
{
	struct h1 *p = l->data;

	p->judge.differs |= p->judge.complete;
	p->judge.complete = true;
	return 0;
}

static const llhttp_settings_t judge_settings = {
    .on_header_field = judge_field,
    .on_header_field_complete = judge_field_complete,
    .on_headers_complete = judge_headers_complete,
    .on_body = judge_body,
    .on_message_complete = judge_message_complete,
};

static void
judge_start(struct h1 *p)
{
	struct judge *j = &p->judge;

	llhttp_init(&j->llhttp,
	    p->role == H1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
	    &judge_settings);
	j->llhttp.data = p;
	j->fields = 0;
	j->body = 0;
	j->complete = false;
	j->differs = false;
}

/* CONNECT and Upgrade make llhttp stop after the head, which is as good. */
static int
judge_feed(struct h1 *p, struct span s)
{
	llhttp_errno_t e;

	e = llhttp_execute(&p->judge.llhttp, (const char *)s.p, s.n);
	if (e == HPE_PAUSED_UPGRADE && p->head.body == HEAD_BODY_NONE)
		e = HPE_OK;
	if (e != HPE_OK)
		return refuse(p, "refused by llhttp");
	return p->judge.differs ? refuse(p, "read in two ways") : 0;
}

/* Has it come as far as we have? */
static int
judge_agrees(struct h1 *p)
{
	bool end = p->state == S_END || p->state == S_DONE;
	/* Stopped after the head: it does not say that this is the end. */
	bool stopped = p->judge.llhttp.error == HPE_PAUSED_UPGRADE;

	if (p->judge.body != p->body_bytes ||
	    (p->judge.complete != end && !stopped))
		return refuse(p, "read in two ways");
	return 0;
}

/* ---------------------------------------------------- lines, the first */

static void
block_start(struct block *b)
{
	buf_reset(b->raw);
	b->line = 0;
	b->cr = false;
	b->first = true;
}

/* One byte: 0 go on, 1 it ended an empty line, or ERR_FORMAT. */
static int
block_byte(struct h1 *p, struct block *b, uint8_t c)
{
	if (b->cr) {
		if (c != '\n')
			return refuse(p, "bare CR");
		bool empty = b->line == 0;
		b->cr = false;
		b->line = 0;
		return empty ? 1 : 0;
	}
	if (c == '\r') {
		b->cr = true;
		return 0;
	}
	if (c == '\n')
		return refuse(p, "bare LF");
	if ((c < ' ' && c != '\t') || c == 0x7f)
		return refuse(p, "control byte");
	b->line++;
	return 0;
}

/* Take bytes up to the empty line. ERR_TRUNCATED: it has not come yet. */
static int
block_take(struct h1 *p, struct block *b, struct span *in)
{
	size_t n;
	int r = 0;

	for (n = 0; n < in->n && r == 0; n++)
		r = block_byte(p, b, in->p[n]);
	if (r < 0)
		return r;
	int e = b == &p->head_block && buf_len(b->raw) + n > p->bytes_max
		    ? ERR_TOO_BIG
		    : buf_put(b->raw, in->p, n);
	*in = span_from(*in, n);
	if (e != 0) {
		p->why = "head too large";
		return e;
	}
	return r == 1 ? 0 : ERR_TRUNCATED;
}

/* The next line without its CRLF; block_byte() has seen to the CRLFs. */
static struct span
take_line(struct span *s)
{
	const uint8_t *cr = s->n == 0 ? NULL : memchr(s->p, '\r', s->n);

	if (cr == NULL)
		abort();
	struct span line = span_of(s->p, (size_t)(cr - s->p));

	*s = span_from(*s, line.n + 2);
	return line;
}

/* In place: the block's buffer is ours. */
static void
lower(struct span s)
{
	uint8_t *p = (uint8_t *)(uintptr_t)s.p;

	for (size_t i = 0; i < s.n; i++) {
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] |= 0x20;
	}
}

static struct span
trim(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_from(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static int
split_field(struct h1 *p, struct span line, struct head_field *f)
{
	const uint8_t *colon;

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return refuse(p, "folded line");
	if ((colon = memchr(line.p, ':', line.n)) == NULL)
		return refuse(p, "no colon");
	f->name = span_of(line.p, (size_t)(colon - line.p));
	if (!head_is_token(f->name))
		return refuse(p, "bad field name");
	lower(f->name);
	f->value = trim(span_from(line, f->name.n + 1));
	return 0;
}

/* -------------------------------------------------------- first lines */

static int
request_line(struct h1 *p, struct span line)
{
	struct head *h = &p->head;
	const uint8_t *sp = memchr(line.p, ' ', line.n);

	if (sp == NULL)
		return refuse(p, "bad request line");
	h->method = span_of(line.p, (size_t)(sp - line.p));
	struct span rest = span_from(line, h->method.n + 1);
	sp = rest.n == 0 ? NULL : memchr(rest.p, ' ', rest.n);
	if (sp == NULL)
		return refuse(p, "bad request line");
	h->target = span_of(rest.p, (size_t)(sp - rest.p));
	struct span version = span_from(rest, h->target.n + 1);
	/* Python's http.client says CONNECT in HTTP/1.0, without a Host. */
	h->close =
	    span_is(version, "HTTP/1.0") && span_is(h->method, "CONNECT");
	if (!h->close && !span_is(version, "HTTP/1.1"))
		return refuse(p, "not HTTP/1.1");
	if (h->method.n > HEAD_METHOD_MAX || !head_is_token(h->method) ||
	    span_is(h->method, "PRI"))
		return refuse(p, "bad method");
	if (h->target.n == 0 || h->target.n > HEAD_TARGET_MAX)
		return refuse(p, "bad target length");
	for (size_t i = 0; i < h->target.n; i++) {
		uint8_t c = h->target.p[i];
		if (c <= ' ' || c >= 0x7f || c == '#')
			return refuse(p, "bad byte in target");
	}
	return 0;
}

static int
status_line(struct h1 *p, struct span line)
{
	struct head *h = &p->head;
	unsigned status = 0;

	if (line.n < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 ||
	    (line.p[7] != '0' && line.p[7] != '1') || line.p[8] != ' ' ||
	    (line.n > 12 && line.p[12] != ' '))
		return refuse(p, "bad status line");
	for (size_t i = 9; i < 12; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return refuse(p, "bad status");
		status = status * 10 + (unsigned)(line.p[i] - '0');
	}
	if (status < 100 || status > 599 || (status == 101 && !p->to_upgrade))
		return refuse(p, "bad status");
	h->status = (uint16_t)status;
	h->close = line.p[7] == '0';
	return 0;
}

/* -------------------------------------------------------------- fields */

static int
on_length(struct h1 *p, struct span value)
{
	if (p->head.has_length)
		return refuse(p, "repeated Content-Length");
	if (span_u64(value, INT64_MAX, &p->head.length) != 0)
		return refuse(p, "bad Content-Length");
	p->head.has_length = true;
	return 0;
}

static int
on_coding(struct h1 *p, struct span value)
{
	if (p->head.body == HEAD_BODY_CHUNKED)
		return refuse(p, "repeated Transfer-Encoding");
	if (!span_caseeq(value, span_str("chunked")))
		return refuse(p, "Transfer-Encoding is not chunked");
	p->head.body = HEAD_BODY_CHUNKED;
	return 0;
}

static int
on_expect(struct h1 *p, struct span value)
{
	if (p->role != H1_REQUEST)
		return 0;
	if (p->head.expect || !span_caseeq(value, span_str("100-continue")))
		return refuse(p, "bad Expect");
	p->head.expect = true;
	return 0;
}

static void
on_connection(struct h1 *p, struct span list)
{
	struct span option;

	while (head_list_next(&list, &option)) {
		if (span_caseeq(option, span_str("close")))
			p->head.close = true;
	}
}

static int
on_field(struct h1 *p, const struct head_field *f)
{
	struct head *h = &p->head;

	if (span_is(f->name, "content-length"))
		return on_length(p, f->value);
	if (span_is(f->name, "transfer-encoding"))
		return on_coding(p, f->value);
	if (span_is(f->name, "expect"))
		return on_expect(p, f->value);
	if (span_is(f->name, "connection"))
		on_connection(p, f->value);
	if (span_is(f->name, "upgrade") || span_is(f->name, "http2-settings"))
		h->upgrade = true;
	h->fields[h->n_fields++] = *f;
	return 0;
}

static int
fields(struct h1 *p, struct span rest)
{
	struct head_field f;
	size_t n = 0;
	int r;

	for (struct span line = take_line(&rest); line.n > 0;
	     line = take_line(&rest)) {
		if (n++ == p->fields_max) {
			p->why = "too many fields";
			return ERR_TOO_BIG;
		}
		if ((r = split_field(p, line, &f)) != 0 ||
		    (r = on_field(p, &f)) != 0)
			return r;
	}
	return n == p->judge.fields ? 0 : refuse(p, "read in two ways");
}

/* ------------------------------------------------------------- framing */

static int
request_framing(struct h1 *p, bool http10)
{
	struct head *h = &p->head;
	struct span host = {0};
	size_t hosts = head_count(h, "host");

	if (hosts > 1 || (hosts == 0 && !http10))
		return refuse(p, "missing or repeated Host");
	if (hosts == 1 && (!head_get(h, "host", &host) || host.n == 0))
		return refuse(p, "empty Host");
	if (h->has_length)
		h->body = HEAD_BODY_LENGTH;
	if (span_is(h->method, "CONNECT") && h->body != HEAD_BODY_NONE)
		return refuse(p, "body on CONNECT");
	h->has_length = false;
	h->expect &= h->body == HEAD_BODY_CHUNKED || h->length > 0;
	return 0;
}

static int
response_framing(struct h1 *p, bool http10)
{
	struct head *h = &p->head;
	bool chunked = h->body == HEAD_BODY_CHUNKED;

	if (h->status == 101 && http10)
		return refuse(p, "an upgrade in HTTP/1.0");
	if (chunked && http10)
		return refuse(p, "chunked HTTP/1.0");
	if (h->status < 200 && (chunked || h->has_length))
		return refuse(p, "interim response with a body");
	if (h->status == 204 && (chunked || h->length != 0))
		return refuse(p, "204 with a body");
	if (p->to_head || h->status < 200 || h->status == 204 ||
	    h->status == 304) {
		h->body = HEAD_BODY_NONE;
		h->has_length &= h->status != 204;
		return 0;
	}
	if (h->has_length)
		h->body = HEAD_BODY_LENGTH;
	else if (!chunked)
		h->body = HEAD_BODY_UNTIL_CLOSE;
	h->close |= h->body == HEAD_BODY_UNTIL_CLOSE;
	h->has_length = false;
	return 0;
}

static int
framing(struct h1 *p, bool http10)
{
	struct head *h = &p->head;

	if (h->body == HEAD_BODY_CHUNKED && h->has_length)
		return refuse(p, "Content-Length with Transfer-Encoding");
	return p->role == H1_REQUEST ? request_framing(p, http10)
				     : response_framing(p, http10);
}

static void
enter_body(struct h1 *p)
{
	p->left = p->head.length;
	switch (p->head.body) {
	case HEAD_BODY_NONE:
		p->state = S_END;
		break;
	case HEAD_BODY_LENGTH:
		p->state = p->left == 0 ? S_END : S_LENGTH;
		break;
	case HEAD_BODY_CHUNKED:
		p->state = S_CHUNK_SIZE;
		p->digits = 0;
		p->left = 0;
		break;
	case HEAD_BODY_UNTIL_CLOSE:
		p->state = S_UNTIL_CLOSE;
		break;
	}
}

static int
whole_head(struct h1 *p)
{
	struct span raw = buf_span(p->head_block.raw), rest = raw;
	int r;

	judge_start(p);
	struct span line = take_line(&rest);
	if (line.n == 0)
		return refuse(p, "leading empty line");
	(void)((r = p->role == H1_REQUEST ? request_line(p, line)
					  : status_line(p, line)) ||
	       (r = judge_feed(p, raw)));
	if (r != 0)
		return r;
	bool http10 = p->head.close;
	if ((r = fields(p, rest)) != 0 || (r = framing(p, http10)) != 0)
		return r;
	enter_body(p);
	return judge_agrees(p);
}

static int
step_head(struct h1 *p, struct span *in, enum h1_event *event)
{
	int r;

	if (in->n == 0)
		return 0;
	if (!p->begun) {
		p->begun = true;
		block_start(&p->head_block);
		head_clear(&p->head);
	}
	if ((r = block_take(p, &p->head_block, in)) != 0)
		return r == ERR_TRUNCATED ? 0 : r;
	if ((r = whole_head(p)) != 0)
		return r;
	if (p->role == H1_RESPONSE && p->head.status == 101) {
		p->state = S_DONE; /* what follows is another protocol's */
	} else if (p->role == H1_RESPONSE && p->head.status < 200) {
		p->interim_bytes += buf_len(p->head_block.raw);
		if (p->interims++ == H1_INTERIM_MAX ||
		    p->interim_bytes > HEAD_BYTES_MAX)
			return refuse(p, "too many interim responses");
		p->state = S_HEAD;
		p->begun = false;
	}
	*event = H1_HEAD;
	return 0;
}

/* -------------------------------------------------------------- bodies */

static int
hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int
chunk_size_byte(struct h1 *p, uint8_t c)
{
	int v = hex(c);

	if (v >= 0) {
		if (p->digits++ == 16 || p->left > INT64_MAX >> 4)
			return refuse(p, "chunk size too large");
		p->left = p->left << 4 | (uint64_t)v;
		return 0;
	}
	if (c != '\r' || p->digits == 0)
		return refuse(p, "bad chunk size");
	p->state = S_CHUNK_LF;
	return 0;
}

/* The framing between chunks, byte by byte. */
static int
chunk_byte(struct h1 *p, uint8_t c)
{
	switch (p->state) {
	case S_CHUNK_SIZE:
		return chunk_size_byte(p, c);
	case S_CHUNK_LF:
		if (c != '\n')
			return refuse(p, "bare CR");
		p->state = p->left == 0 ? S_TRAILERS : S_CHUNK_DATA;
		if (p->left == 0)
			block_start(&p->trailer_block);
		return 0;
	case S_DATA_CR:
		if (c != '\r')
			return refuse(p, "chunk longer than said");
		p->state = S_DATA_LF;
		return 0;
	case S_DATA_LF:
		if (c != '\n')
			return refuse(p, "bare CR");
		p->state = S_CHUNK_SIZE;
		p->digits = 0;
		p->left = 0;
		return 0;
	default:
		abort();
	}
}

static void
step_bytes(struct h1 *p, struct span *in, enum h1_event *event,
    struct span *body, bool counted)
{
	size_t n = counted && p->left < in->n ? (size_t)p->left : in->n;

	if (n == 0)
		return;
	*body = span_of(in->p, n);
	*in = span_from(*in, n);
	*event = H1_BODY;
	p->body_bytes += n;
	if (!counted)
		return;
	p->left -= n;
	if (p->left == 0)
		p->state = p->state == S_LENGTH ? S_END : S_DATA_CR;
}

static int
whole_trailers(struct h1 *p)
{
	struct span rest = buf_span(p->trailer_block.raw);
	struct head *t = &p->trailers;
	struct head_field f;
	int r;

	for (struct span line = take_line(&rest); line.n > 0;
	     line = take_line(&rest)) {
		if ((r = split_field(p, line, &f)) != 0)
			return r;
		if (p->role == H1_RESPONSE && head_forbidden_trailer(f.name))
			continue;
		if (t->n_fields == HEAD_FIELDS_MAX) {
			p->why = "too many trailers";
			return ERR_TOO_BIG;
		}
		t->fields[t->n_fields++] = f;
	}
	p->state = S_END;
	return 0;
}

static int
step_chunked(
    struct h1 *p, struct span *in, enum h1_event *event, struct span *body)
{
	int r;

	while (
	    in->n > 0 && p->state != S_CHUNK_DATA && p->state != S_TRAILERS) {
		if ((r = chunk_byte(p, in->p[0])) != 0)
			return r;
		*in = span_from(*in, 1);
	}
	if (p->state == S_CHUNK_DATA) {
		step_bytes(p, in, event, body, true);
		return 0;
	}
	if (p->state != S_TRAILERS || in->n == 0)
		return 0;
	r = block_take(p, &p->trailer_block, in);
	if (r != 0)
		return r == ERR_TRUNCATED ? 0 : r;
	return whole_trailers(p);
}

static int
step_body(
    struct h1 *p, struct span *in, enum h1_event *event, struct span *body)
{
	struct span from = *in;
	int r = 0;

	if (p->state == S_LENGTH)
		step_bytes(p, in, event, body, true);
	else if (p->state == S_UNTIL_CLOSE)
		step_bytes(p, in, event, body, false);
	else
		r = step_chunked(p, in, event, body);
	struct span eaten = span_of(from.p, from.n - in->n);
	if (r != 0 || eaten.n == 0)
		return r;
	if ((r = judge_feed(p, eaten)) != 0)
		return r;
	return judge_agrees(p);
}

/* -------------------------------------------------------------- public */

int
h1_new(enum h1_role role, struct h1 **out)
{
	struct h1 *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return ERR_NOMEM;
	p->role = role;
	p->why = "";
	p->bytes_max = HEAD_BYTES_MAX;
	p->fields_max = HEAD_FIELDS_MAX;
	p->head_block.raw = buf_new(HEAD_BYTES_MAX);
	p->trailer_block.raw = buf_new(H1_TRAILER_BYTES_MAX);
	head_init(&p->head);
	head_init(&p->trailers);
	if (p->head_block.raw == NULL || p->trailer_block.raw == NULL) {
		h1_free(p);
		return ERR_NOMEM;
	}
	h1_start(p, false);
	*out = p;
	return 0;
}

void
h1_bound(struct h1 *p, size_t bytes, size_t fields)
{
	p->bytes_max = bytes < HEAD_BYTES_MAX ? bytes : HEAD_BYTES_MAX;
	p->fields_max = fields < HEAD_FIELDS_MAX ? fields : HEAD_FIELDS_MAX;
}

void
h1_free(struct h1 *p)
{
	if (p == NULL)
		return;
	head_clear(&p->head);
	head_clear(&p->trailers);
	buf_free(p->head_block.raw);
	buf_free(p->trailer_block.raw);
	buf_wipe(p, sizeof(*p));
	free(p);
}

void
h1_start(struct h1 *p, bool to_head)
{
	if (p->state == S_DEAD)
		return;
	if (p->begun && p->state != S_DONE)
		abort(); /* the caller lost count of its messages */
	p->state = S_HEAD;
	p->to_head = to_head;
	p->to_upgrade = false;
	p->begun = false;
	p->interims = 0;
	p->interim_bytes = 0;
	p->left = 0;
	p->body_bytes = 0;
	head_clear(&p->head);
	head_clear(&p->trailers);
	buf_reset(p->head_block.raw);
	buf_reset(p->trailer_block.raw);
}

void
h1_start_upgrade(struct h1 *p)
{
	h1_start(p, false);
	p->to_upgrade = true;
}

int
h1_next(struct h1 *p, struct span *in, enum h1_event *event, struct span *body)
{
	int r = 0;

	*event = H1_MORE;
	*body = (struct span){0};
	switch (p->state) {
	case S_DEAD:
		return ERR_FORMAT;
	case S_DONE:
		return 0;
	case S_HEAD:
		r = step_head(p, in, event);
		break;
	case S_END:
		break;
	default:
		r = step_body(p, in, event, body);
		break;
	}
	if (r != 0) {
		p->state = S_DEAD;
		return r;
	}
	if (p->state == S_END && *event == H1_MORE) {
		p->state = S_DONE;
		*event = H1_END;
	}
	return 0;
}

int
h1_eof(struct h1 *p, enum h1_event *event)
{
	*event = H1_MORE;
	if (p->state == S_DONE ||
	    (p->state == S_HEAD && !p->begun && p->interims == 0))
		return 0;
	if (p->state != S_UNTIL_CLOSE && p->state != S_END)
		return ERR_TRUNCATED;
	p->state = S_DONE;
	*event = H1_END;
	return 0;
}

struct head *
h1_head(struct h1 *p)
{
	return &p->head;
}

struct head *
h1_trailers(struct h1 *p)
{
	return &p->trailers;
}

bool
h1_idle(const struct h1 *p)
{
	return p->state == S_HEAD && !p->begun && p->interims == 0;
}

const char *
h1_why(const struct h1 *p)
{
	return p->why;
}
