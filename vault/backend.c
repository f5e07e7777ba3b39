/* SPDX-License-Identifier: ISC */
/* What for: the table of backends. Trusts: vault.json. At a bound: a
 * backend that is not in the table is refused. */
#include "vault/backend.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct backend_ops *const table[] = {
    &backend_sealed_file,
    &backend_secret_service,
};

int64_t
backend_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
backend_budget(struct backend *b, int64_t asked_ms)
{
	b->asked_ms = asked_ms;
	b->deadline_ms = backend_now_ms() + BACKEND_BUDGET_MS;
}

void
backend_say(struct backend *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b->why, sizeof(b->why), fmt, ap);
	va_end(ap);
}

int
backend_open(const struct config_choice *c, struct store *s,
    struct backend **out, char *why, size_t size)
{
	struct backend *b = calloc(1, sizeof(*b));
	int r = ERR_ARGUMENT;

	if (b == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i]->id == c->backend)
			b->ops = table[i];
	}
	b->choice = *c;
	b->store = s;
	backend_budget(b, backend_now_ms());
	if (b->ops == NULL || (r = b->ops->open(b)) != 0) {
		snprintf(why, size, "%s", b->why);
		free(b);
		return r;
	}
	*out = b;
	return 0;
}

void
backend_close(struct backend *b)
{
	if (b == NULL)
		return;
	b->ops->close(b);
	free(b);
}
