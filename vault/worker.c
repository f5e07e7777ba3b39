/* SPDX-License-Identifier: ISC */
/* What for: one thread for what blocks. Trusts: its jobs. At a bound:
 * refuses more jobs; ends the process when one never ends. */
#include "vault/worker.h"

#include "lib/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct list {
	struct job *head, **tail;
	size_t n;
};

struct worker {
	struct ev_loop *loop;
	struct ev_async wake;
	struct ev_timer watch;
	struct house *house;
	void (*on_state)(void *ctx, const struct job *j);
	void *ctx;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	/* Under the lock: */
	struct list todo, finished;
	int64_t give_up_ms; /* when the job that runs is stuck; 0: idle */
	bool stop;
};

static void
list_init(struct list *l)
{
	l->head = NULL;
	l->tail = &l->head;
	l->n = 0;
}

static void
list_add(struct list *l, struct job *j)
{
	j->next = NULL;
	*l->tail = j;
	l->tail = &j->next;
	l->n++;
}

static struct job *
list_take(struct list *l)
{
	struct job *j = l->head;

	if (j == NULL)
		return NULL;
	l->head = j->next;
	if (l->head == NULL)
		l->tail = &l->head;
	l->n--;
	return j;
}

static void
list_free(struct list *l)
{
	struct job *j;

	while ((j = list_take(l)) != NULL)
		j->free(j);
}

static void
run_one(struct worker *w, struct job *j)
{
	house_begin(w->house, j->asked_ms);
	j->run(j, w->house);
	j->state = house_state(w->house);
	snprintf(j->why, sizeof(j->why), "%s", house_why(w->house));
	j->outgrown = house_outgrown(w->house);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct job *j;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		if ((j = list_take(&w->todo)) == NULL) {
			pthread_cond_wait(&w->more, &w->lock);
			continue;
		}
		w->give_up_ms =
		    backend_now_ms() +
		    (j->slow ? WORKER_SLOW_STUCK_MS : WORKER_STUCK_MS);
		pthread_mutex_unlock(&w->lock);
		run_one(w, j);
		pthread_mutex_lock(&w->lock);
		w->give_up_ms = 0;
		list_add(&w->finished, j);
		ev_async_send(w->loop, &w->wake);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void
on_wake(struct ev_loop *loop, struct ev_async *a, int events)
{
	struct worker *w = a->data;
	struct job *j;

	(void)loop;
	(void)events;
	for (;;) {
		pthread_mutex_lock(&w->lock);
		j = list_take(&w->finished);
		pthread_mutex_unlock(&w->lock);
		if (j == NULL)
			return;
		w->on_state(w->ctx, j);
		j->done(j);
		j->free(j);
	}
}

static void
on_watch(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct worker *w = t->data;
	int64_t limit;

	(void)loop;
	(void)events;
	pthread_mutex_lock(&w->lock);
	limit = w->give_up_ms;
	pthread_mutex_unlock(&w->lock);
	if (limit != 0 && backend_now_ms() > limit)
		log_fatal("vault_worker_stuck", "a job does not end");
}

int
worker_new(struct ev_loop *loop, struct house *h,
    void (*on_state)(void *ctx, const struct job *j), void *ctx,
    struct worker **out)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return ERR_NOMEM;
	w->loop = loop;
	w->house = h;
	w->on_state = on_state;
	w->ctx = ctx;
	list_init(&w->todo);
	list_init(&w->finished);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	ev_async_init(&w->wake, on_wake);
	ev_timer_init(&w->watch, on_watch, 5., 5.);
	w->wake.data = w;
	w->watch.data = w;
	ev_async_start(loop, &w->wake);
	ev_timer_start(loop, &w->watch);
	if (pthread_create(&w->thread, NULL, work, w) != 0) {
		ev_async_stop(loop, &w->wake);
		ev_timer_stop(loop, &w->watch);
		free(w);
		return ERR_NOMEM;
	}
	*out = w;
	return 0;
}

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	list_free(&w->todo);
	list_free(&w->finished);
	ev_async_stop(w->loop, &w->wake);
	ev_timer_stop(w->loop, &w->watch);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->more);
	free(w);
}

int
worker_push(struct worker *w, struct job *j)
{
	size_t max = WORKER_QUEUE_MAX - (j->guests ? WORKER_QUEUE_LEFT : 0);
	int r = 0;

	j->asked_ms = backend_now_ms();
	pthread_mutex_lock(&w->lock);
	if (w->todo.n >= max) {
		r = ERR_TOO_BIG;
	} else {
		list_add(&w->todo, j);
		pthread_cond_signal(&w->more);
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}
