/* SPDX-License-Identifier: ISC */
/* What for: to read which host a guest's TLS asks for.
 * Trusts: nothing.
 * At a bound: ERR_TOO_BIG; every length is checked against its parent. */
#include "egress/gate/clienthello.h"

#include "egress/gate/limits.h"

#define RECORD_HANDSHAKE 22
#define RECORD_HEADER 5
#define RECORD_MAX 16384
#define HANDSHAKE_CLIENT_HELLO 1
#define HANDSHAKE_HEADER 4
#define EXT_SERVER_NAME 0
#define EXT_ECH 0xfe0d
#define EXTENSIONS_MAX 64

/* A cursor; once anything does not fit it is bad and gives zeros. */
struct reader {
	struct span s;
	bool bad;
};

static struct span
take(struct reader *r, size_t n)
{
	if (r->bad || r->s.n < n) {
		r->bad = true;
		return (struct span){0};
	}
	struct span out = span_of(r->s.p, n);
	r->s = span_from(r->s, n);
	return out;
}

static size_t
number(struct reader *r, size_t width)
{
	struct span s = take(r, width);
	size_t v = 0;

	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | s.p[i];
	return v;
}

static struct span
vector(struct reader *r, size_t width)
{
	return take(r, number(r, width));
}

/* RFC 6066: one list, one name, of the one type there is. */
static int
server_name(struct span ext, struct clienthello *out)
{
	struct reader r = {.s = ext};
	struct reader list = {.s = vector(&r, 2)};

	if (r.bad || r.s.n != 0)
		return ERR_FORMAT;
	size_t type = number(&list, 1);
	struct span name = vector(&list, 2);
	if (list.bad || list.s.n != 0 || type != 0)
		return ERR_FORMAT;
	out->has_sni = true;
	return host_parse(name, &out->sni);
}

static bool
seen_before(uint16_t *seen, size_t *n, uint16_t type)
{
	for (size_t i = 0; i < *n; i++) {
		if (seen[i] == type)
			return true;
	}
	if (*n == EXTENSIONS_MAX)
		return true; /* nobody honest sends as many */
	seen[(*n)++] = type;
	return false;
}

static int
extensions(struct reader list, struct clienthello *out)
{
	uint16_t seen[EXTENSIONS_MAX];
	size_t n = 0;
	int r;

	while (list.s.n > 0) {
		uint16_t type = (uint16_t)number(&list, 2);
		struct span ext = vector(&list, 2);

		if (list.bad || seen_before(seen, &n, type))
			return ERR_FORMAT;
		if (type == EXT_ECH)
			out->ech = true;
		if (type == EXT_SERVER_NAME && (r = server_name(ext, out)) != 0)
			return r;
	}
	return 0;
}

static int
hello(struct span body, struct clienthello *out)
{
	struct reader r = {.s = body};
	size_t version = number(&r, 2);

	(void)take(&r, 32); /* random; a short one makes r bad */
	struct span session = vector(&r, 1);
	struct span suites = vector(&r, 2);
	struct span compression = vector(&r, 1);
	struct reader list = {.s = vector(&r, 2)};
	if (r.bad || r.s.n != 0 || version != 0x0303 || session.n > 32 ||
	    suites.n < 2 || suites.n % 2 != 0 || compression.n < 1)
		return ERR_FORMAT;
	return extensions(list, out);
}

/* Put the handshake message together out of its records. *have bytes of it
 * are in msg. */
static int
gather(struct span in, uint8_t *msg, size_t *have)
{
	size_t want = HANDSHAKE_HEADER;

	*have = 0;
	while (*have < want) {
		struct reader r = {.s = in};
		size_t type = number(&r, 1), version = number(&r, 2);
		size_t n = number(&r, 2);
		if ((in.n > 0 && in.p[0] != RECORD_HANDSHAKE) ||
		    (in.n > 1 && in.p[1] != 3))
			return ERR_FORMAT;
		if (r.bad)
			return ERR_TRUNCATED;
		if (type != RECORD_HANDSHAKE || version < 0x0301 ||
		    version > 0x0303 || n == 0 || n > RECORD_MAX)
			return ERR_FORMAT;
		if (*have + n > LIMIT_HELLO)
			return ERR_TOO_BIG;
		struct span part = take(&r, n);
		if (r.bad || part.p == NULL)
			return ERR_TRUNCATED;
		memcpy(msg + *have, part.p, n);
		*have += n;
		in = r.s;
		if (msg[0] != HANDSHAKE_CLIENT_HELLO)
			return ERR_FORMAT;
		if (*have >= HANDSHAKE_HEADER)
			want = HANDSHAKE_HEADER + ((size_t)msg[1] << 16 |
						      (size_t)msg[2] << 8 |
						      msg[3]);
		if (want > LIMIT_HELLO)
			return ERR_TOO_BIG;
	}
	return *have == want ? 0 : ERR_FORMAT;
}

int
clienthello_parse(struct span in, struct clienthello *out)
{
	uint8_t msg[LIMIT_HELLO];
	struct clienthello c = {0};
	size_t n;
	int r = gather(in, msg, &n);

	if (r == 0)
		r = hello(
		    span_of(msg + HANDSHAKE_HEADER, n - HANDSHAKE_HEADER), &c);
	if (r == 0)
		*out = c;
	return r;
}
