/* SPDX-License-Identifier: ISC */
/* What for: --limit of `hatcheck run`. Trusts: prlimit(1) and the kernel to
 * hold them. At a bound: an unknown name or a value of zero is refused. */
#include "cli/sandbox_limits.h"

#include "scope/grant_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int
number(struct span text, uint64_t *out)
{
	/* A size without a unit is a plain number. */
	if (text.n == 0 || text.p[text.n - 1] < '0' || text.p[text.n - 1] > '9')
		return ERR_FORMAT;
	return grant_bytes_from_text(text, out);
}

static const struct row {
	const char *name;
	int (*parse)(struct span text, uint64_t *out);
	const char *option; /* NULL: tmp */
} rows[] = {
    {"memory", grant_bytes_from_text, "--data"},
    {"processes", number, "--nproc"},
    {"cpu", grant_time_from_text, "--cpu"},
    {"file-size", grant_bytes_from_text, "--fsize"},
    {"open-files", number, "--nofile"},
    {"tmp", grant_bytes_from_text, NULL},
};
_Static_assert(COUNT(rows) <= SANDBOX_LIMITS, "SANDBOX_LIMITS");

static const struct row *
find(const char *text, size_t n)
{
	for (size_t i = 0; i < COUNT(rows); i++)
		if (strlen(rows[i].name) == n &&
		    strncmp(rows[i].name, text, n) == 0)
			return &rows[i];
	return NULL;
}

static struct sandbox_limit *
place(struct sandbox_limits *l, const char *option)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->of[i].option == option)
			return &l->of[i];
	return &l->of[l->n++];
}

int
sandbox_limits_add(
    struct sandbox_limits *l, const char *text, struct cli_error *e)
{
	size_t n = strcspn(text, "=");
	const struct row *row = find(text, n);
	uint64_t value = 0;

	if (row == NULL || text[n] == '\0')
		return cli_error(e, CLI_USAGE, "--limit",
		    "memory=, processes=, cpu=, file-size=, open-files= or "
		    "tmp=",
		    "\"%s\" names no limit", text);
	if (row->parse(span_str(text + n + 1), &value) != 0 || value == 0)
		return cli_error(e, CLI_USAGE, "--limit",
		    "for example memory=2GiB, processes=200, cpu=2h",
		    "\"%s\" has no good value", text);
	if (row->option == NULL) {
		l->tmp = value;
		return 0;
	}
	struct sandbox_limit *at = place(l, row->option);
	at->option = row->option;
	(void)snprintf(at->word, sizeof(at->word), "%s=%" PRIu64, row->option,
	    value); /* fits */
	return 0;
}

static int
put(struct buf *out, const char *word)
{
	return buf_put(out, word, strlen(word) + 1);
}

int
sandbox_limits_tmpfs(const struct sandbox_limits *l, const char *perms,
    const char *where, struct buf *out)
{
	char size[24];
	int r;

	(void)snprintf(size, sizeof(size), "%" PRIu64, l->tmp); /* fits */
	if ((r = put(out, "--perms")) != 0 || (r = put(out, perms)) != 0)
		return r;
	if (l->tmp != 0 &&
	    ((r = put(out, "--size")) != 0 || (r = put(out, size)) != 0))
		return r;
	return (r = put(out, "--tmpfs")) != 0 ? r : put(out, where);
}
