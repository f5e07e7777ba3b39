/* SPDX-License-Identifier: ISC */
/* What for: CONNECT and SOCKS5, the client's side. Trusts: the proxy for
 * nothing but where the connection leads, and TLS checks that. At a bound:
 * ERR_TOO_BIG. */
#include "egress/dialer/talk.h"

#include "egress/dialer/address.h"

#include <stdio.h>
#include <string.h>

#define SOCKS_VERSION 5
#define SOCKS_CONNECT 1
enum { SOCKS_V4 = 1, SOCKS_NAME = 3, SOCKS_V6 = 4 };

static int
put_socks_host(const struct host *h, struct buf *out)
{
	union address a;
	int r;

	if (!h->is_ip) {
		if ((r = buf_put_u8(out, SOCKS_NAME)) != 0 ||
		    (r = buf_put_u8(out, (uint8_t)strlen(h->name))) != 0)
			return r;
		return buf_put_str(out, h->name);
	}
	if ((r = address_parse(h->name, 0, &a)) != 0)
		return r;
	if (a.sa.sa_family == AF_INET)
		return (r = buf_put_u8(out, SOCKS_V4)) != 0
			   ? r
			   : buf_put(out, &a.v4.sin_addr, 4);
	return (r = buf_put_u8(out, SOCKS_V6)) != 0
		   ? r
		   : buf_put(out, &a.v6.sin6_addr, 16);
}

static int
put_socks_request(const struct talk *t, struct buf *out)
{
	static const uint8_t head[] = {SOCKS_VERSION, SOCKS_CONNECT, 0};
	int r = buf_put(out, head, sizeof(head));

	if (r != 0 || (r = put_socks_host(&t->host, out)) != 0)
		return r;
	return buf_put_u16(out, t->port);
}

int
talk_start(struct talk *t, enum ctl_proxy_kind kind, const struct host *host,
    uint16_t port, struct buf *out)
{
	static const uint8_t greeting[] = {SOCKS_VERSION, 1, 0};

	*t = (struct talk){.host = *host, .port = port};
	buf_reset(out);
	t->state = kind == CTL_PROXY_HTTP ? TALK_STATUS : TALK_METHOD;
	if (kind == CTL_PROXY_SOCKS5)
		return buf_put(out, greeting, sizeof(greeting));
	return buf_printf(out, "CONNECT %s:%u HTTP/1.1\r\nHost: %s:%u\r\n\r\n",
	    host->name, port, host->name, port);
}

/* "HTTP/1.x NNN" and then nothing, or SP and anything. */
static int
status_line(struct talk *t)
{
	static const char version[] = "HTTP/1.";
	const size_t v = sizeof(version) - 1;
	const uint8_t *p = t->head;
	uint64_t status;

	if (t->n < v + 5 || memcmp(p, version, v) != 0 ||
	    (p[v] != '0' && p[v] != '1') || p[v + 1] != ' ' ||
	    span_u64(span_of(p + v + 2, 3), 999, &status) != 0 ||
	    (t->n > v + 5 && p[v + 5] != ' '))
		return ERR_FORMAT;
	t->status = (unsigned)status;
	return status == 200 ? 0 : ERR_DENIED;
}

/* A line has ended. 0: the whole answer has. */
static int
end_line(struct talk *t)
{
	int r = t->state == TALK_STATUS ? status_line(t)
		: t->n == 0		? 0
		: t->colon		? ERR_TRUNCATED
					: ERR_FORMAT;

	if (t->state == TALK_STATUS && r == 0)
		r = ERR_TRUNCATED; /* its fields are to come */
	else if (r == 0)
		t->state = TALK_DONE;
	if (r == ERR_TRUNCATED)
		t->state = TALK_FIELD;
	t->n = 0;
	t->cr = t->colon = false;
	return r;
}

static bool
in_name(uint8_t c)
{
	return c > ' ' && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}

static int
http_byte(struct talk *t, uint8_t c)
{
	if (++t->all > TALK_MAX)
		return ERR_TOO_BIG;
	if (t->cr)
		return c == '\n' ? end_line(t) : ERR_FORMAT;
	if (c == '\r') {
		t->cr = true;
		return ERR_TRUNCATED;
	}
	if ((c < ' ' && c != '\t') || c == 0x7f)
		return ERR_FORMAT;
	if (t->state == TALK_FIELD && !t->colon) {
		if (c == ':' && t->n > 0)
			t->colon = true;
		else if (!in_name(c))
			return ERR_FORMAT;
	}
	if (t->n < sizeof(t->head))
		t->head[t->n] = c;
	t->n++;
	return ERR_TRUNCATED;
}

static int
socks_method(struct talk *t, struct buf *out)
{
	if (t->n < 2)
		return ERR_TRUNCATED;
	if (t->head[0] != SOCKS_VERSION)
		return ERR_FORMAT;
	t->status = t->head[1];
	if (t->status != 0) /* it wants a password, or worse */
		return t->status == 0xff ? ERR_DENIED : ERR_FORMAT;
	t->state = TALK_REPLY;
	t->n = 0;
	int r = put_socks_request(t, out);
	return r != 0 ? r : ERR_TRUNCATED;
}

/* Of the reply under way, as far as it is known. */
static size_t
socks_length(const struct talk *t)
{
	if (t->n < 5)
		return 5;
	return t->head[3] == SOCKS_V4	? 10
	       : t->head[3] == SOCKS_V6 ? 22
					: 7 + (size_t)t->head[4];
}

static int
socks_reply(struct talk *t)
{
	const uint8_t *p = t->head;

	if ((t->n >= 1 && p[0] != SOCKS_VERSION) || (t->n >= 3 && p[2] != 0) ||
	    (t->n >= 4 && p[3] != SOCKS_V4 && p[3] != SOCKS_NAME &&
		p[3] != SOCKS_V6))
		return ERR_FORMAT;
	if (t->n >= 2 && p[1] != 0) {
		t->status = p[1];
		return ERR_DENIED;
	}
	if (t->n < socks_length(t))
		return ERR_TRUNCATED;
	t->state = TALK_DONE;
	return 0;
}

static int
socks_byte(struct talk *t, uint8_t c, struct buf *out)
{
	t->head[t->n++] = c; /* 262 at most: socks_length() */
	return t->state == TALK_METHOD ? socks_method(t, out) : socks_reply(t);
}

int
talk_next(struct talk *t, struct span in, size_t *used, struct buf *out)
{
	int r = ERR_TRUNCATED;

	buf_reset(out);
	*used = 0;
	if (t->state == TALK_DONE)
		return ERR_SEQUENCE;
	while (r == ERR_TRUNCATED && *used < in.n) {
		uint8_t c = in.p[(*used)++];
		r = t->state <= TALK_FIELD ? http_byte(t, c)
					   : socks_byte(t, c, out);
	}
	return r;
}
