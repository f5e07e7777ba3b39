/* SPDX-License-Identifier: ISC */
/* What for: llhttp as the second reader of HTTP/1.1. Trusts: nothing; what it
 * reads differently from us is refused. At a bound: as llhttp says. */
#include "egress/http/h1_inside.h"

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

void
h1_judge_start(struct h1 *p)
{
	struct h1_judge *j = &p->judge;

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
int
h1_judge_feed(struct h1 *p, struct span s)
{
	llhttp_errno_t e;

	e = llhttp_execute(&p->judge.llhttp, (const char *)s.p, s.n);
	if (e == HPE_PAUSED_UPGRADE && p->head.body == HEAD_BODY_NONE)
		e = HPE_OK;
	if (e != HPE_OK)
		return h1_refuse(p, "refused by llhttp");
	return p->judge.differs ? h1_refuse(p, "read in two ways") : 0;
}

/* Has it come as far as we have? */
int
h1_judge_agrees(struct h1 *p)
{
	bool end = p->state == S_END || p->state == S_DONE;
	/* Stopped after the head: it does not say that this is the end. */
	bool stopped = p->judge.llhttp.error == HPE_PAUSED_UPGRADE;

	if (p->judge.body != p->body_bytes ||
	    (p->judge.complete != end && !stopped))
		return h1_refuse(p, "read in two ways");
	return 0;
}
