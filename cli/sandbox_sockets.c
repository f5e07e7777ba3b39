/* SPDX-License-Identifier: ISC */
/* What for: find sockets in a tree, and cover them. Trusts: nothing in the
 * tree; a link is never followed. At a bound: *whole becomes false. */
#include "cli/sandbox_sockets.h"

#include <fts.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

static int
add(struct sandbox_sockets *s, const char *path)
{
	if (s->n == SANDBOX_SOCKETS) {
		s->whole = false;
		return 0;
	}
	if ((s->path[s->n] = strdup(path)) == NULL)
		return ERR_NOMEM;
	s->n++;
	return 0;
}

int
sandbox_sockets_find(struct sandbox_sockets *s, const char *root)
{
	char *const roots[] = {(char *)(uintptr_t)root, NULL};
	/* FTS_NOSTAT would not tell sockets apart from files. */
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	FTSENT *e;
	size_t seen = 0;
	int r = 0;

	if (fts == NULL)
		return ERR_NOMEM;
	while (r == 0 && (e = fts_read(fts)) != NULL) {
		if (++seen > SANDBOX_ENTRIES) {
			s->whole = false;
			break;
		}
		if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR)
			s->whole = false;
		else if (e->fts_info == FTS_DEFAULT &&
			 S_ISSOCK(e->fts_statp->st_mode))
			r = add(s, e->fts_path);
	}
	fts_close(fts);
	return r;
}

void
sandbox_sockets_free(struct sandbox_sockets *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->path[i]);
	s->n = 0;
}

int
sandbox_sockets_words(const struct sandbox_sockets *s, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n; i++) {
		const char *const words[] = {
		    "--ro-bind", "/dev/null", s->path[i]};

		for (size_t w = 0; r == 0 && w < 3; w++)
			r = buf_put(out, words[w], strlen(words[w]) + 1);
	}
	return r;
}
