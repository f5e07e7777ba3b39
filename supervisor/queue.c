/* SPDX-License-Identifier: ISC */
/* What for: who may come in over vsock, how many and how fast. Trusts: the
 * kernel for the peer's CID and port. At a bound: says so. */
#include "supervisor/queue.h"

static bool
may_knock(struct queue *q, double now)
{
	double gained = (now - q->since) * QUEUE_PER_SECOND;

	if (gained < 0.)
		gained = 0.;
	q->since = now;
	q->allowance += gained;
	if (q->allowance > QUEUE_PER_SECOND)
		q->allowance = QUEUE_PER_SECOND;
	if (q->allowance < 1.)
		return false;
	q->allowance -= 1.;
	return true;
}

const char *
queue_judge(struct queue *q, const struct channel *c,
    const struct vsock_peer *peer, double now)
{
	if (!channel_cid_ok(peer->cid) || c == NULL)
		return "no session has this CID";
	if (peer->port == UINT32_MAX)
		return "its port is no port";
	if (c->privileged && peer->port > CHANNEL_PRIVILEGED)
		return "its port is not below 1024";
	if (!may_knock(q, now))
		return "it connects too often";
	return q->n == QUEUE_WAITING ? "too many of it wait" : NULL;
}

void
queue_put(struct queue *q, int fd)
{
	q->fd[(q->first + q->n++) % QUEUE_WAITING] = fd;
}

int
queue_get(struct queue *q)
{
	if (q->n == 0)
		return -1;
	int fd = q->fd[q->first];
	q->first = (q->first + 1) % QUEUE_WAITING;
	q->n--;
	return fd;
}

int
queue_next(struct queue *q)
{
	int fd = q->on_way < QUEUE_ON_WAY ? queue_get(q) : -1;

	q->on_way += fd >= 0;
	return fd;
}

int
queue_taken(struct queue *q)
{
	if (q->on_way == 0)
		return ERR_FORMAT;
	q->on_way--;
	return 0;
}
