/* SPDX-License-Identifier: ISC */
/* What for: memory for nghttp2, which holds heads with credentials in them.
 * Trusts: nothing. At a bound: NULL. */
#include "egress/http/h2_inside.h"

#include <stdlib.h>
#include <string.h>

/* Memory that remembers its size, so that it can be wiped. */
union block {
	size_t n;
	max_align_t align;
};

static void *
wiping_malloc(size_t n, void *arg)
{
	union block *b;

	(void)arg;
	if (n > SIZE_MAX - sizeof(*b) || (b = malloc(sizeof(*b) + n)) == NULL)
		return NULL;
	b->n = n;
	return b + 1;
}

static void
wiping_free(void *p, void *arg)
{
	union block *b = p;

	(void)arg;
	if (p == NULL)
		return;
	b--;
	buf_wipe(p, b->n);
	free(b);
}

static void *
wiping_calloc(size_t n, size_t size, void *arg)
{
	void *p;

	if (size != 0 && n > SIZE_MAX / size)
		return NULL;
	if ((p = wiping_malloc(n * size, arg)) != NULL)
		memset(p, 0, n * size);
	return p;
}

static void *
wiping_realloc(void *p, size_t n, void *arg)
{
	void *q = wiping_malloc(n, arg);

	if (q != NULL && p != NULL) {
		size_t old = ((union block *)p - 1)->n;
		memcpy(q, p, old < n ? old : n);
		wiping_free(p, arg);
	}
	return q;
}

nghttp2_mem *
h2_memory(void)
{
	static nghttp2_mem mem = {
	    NULL, wiping_malloc, wiping_free, wiping_calloc, wiping_realloc};

	return &mem;
}
