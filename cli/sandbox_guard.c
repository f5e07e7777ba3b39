/* SPDX-License-Identifier: ISC */
/* What for: keep a project's own tripwires out of a guest's hands. Trusts:
 * the project as it is before the start; afterwards nothing in it. At a
 * bound: no sandbox. */
#include "cli/sandbox_guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HELD ".hatcheck-held"

enum missing {
	LEAVE, /* may be made */
	GHOST, /* stands as an empty directory meanwhile */
	WATCH  /* held back afterwards */
};

/* Parents come before children. */
static const struct row {
	const char *name;
	enum missing missing;
} rows[] = {
    /* git reads its configuration in every prompt that shows a branch */
    {".git", GHOST},
    {".git/config", WATCH},
    {".git/config.worktree", WATCH},
    {".git/commondir", WATCH},
    {".git/hooks", GHOST},
    {".git/modules", WATCH},
    {".git/worktrees", LEAVE},
    /* or takes the directory itself for one, once .git is broken */
    {"HEAD", WATCH},
    /* a bare repository that was bound by itself (see is_bare()) */
    {"config", WATCH},
    {"config.worktree", WATCH},
    {"commondir", WATCH},
    {"hooks", GHOST},
    {"modules", WATCH},
    {"worktrees", LEAVE},
    /* Mercurial trusts what its user owns */
    {".hg", WATCH},
    {".hg/hgrc", WATCH},
    {".hg/hgrc-not-shared", WATCH},
    {".hg/sharedpath", WATCH},
    /* editors and agents of the user, watching the directory */
    {".vscode", GHOST},
    {".idea", GHOST},
    {".zed", WATCH},
    {".fleet", WATCH},
    {".devcontainer", WATCH},
    {".devcontainer.json", WATCH},
    {".claude", GHOST},
    {".cursor", WATCH},
    {".codex", WATCH},
    {".gemini", WATCH},
    {".mcp.json", WATCH},
    {".vimrc", WATCH},
    {".nvimrc", WATCH},
    {".nvim.lua", WATCH},
    {".exrc", WATCH},
    {".dir-locals.el", WATCH},
    {".dir-locals-2.el", WATCH},
    {".gdbinit", WATCH},
    {".lldbinit", WATCH},
    /* shells and version managers, on cd */
    {".envrc", WATCH},
    {".tool-versions", WATCH},
    {".mise.toml", WATCH},
    {"mise.toml", WATCH},
    {".mise", WATCH},
    {".autoenv.zsh", WATCH},
    /* hook managers, on commit */
    {".husky", GHOST},
    {".githooks", WATCH},
    {".pre-commit-config.yaml", WATCH},
    {"lefthook.yml", WATCH},
    {".lefthook.yml", WATCH},
    /* where packages come from, and code that their managers load */
    {".npmrc", WATCH},
    {".yarnrc", WATCH},
    {".yarnrc.yml", WATCH},
    {".yarn", WATCH},
    {".pnpmfile.cjs", WATCH},
    {".cargo", WATCH},
};
_Static_assert(COUNT(rows) <= GUARD_MAX, "GUARD_MAX");

#define BARE_HEAD 7
#define BARE_FIRST 8
#define BARE_LAST 13

/* HEAD at its top: what git needs beside it to take it for a repository can
 * be made inside. */
static bool
is_bare(int root)
{
	struct stat st;

	return fstatat(root, "HEAD", &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool
applies(size_t row, bool bare)
{
	return bare ? row != BARE_HEAD : row < BARE_FIRST || row > BARE_LAST;
}

static struct guard_item *
item_add(struct guard *g, const char *name)
{
	struct guard_item *i = &g->items[g->n++];

	*i = (struct guard_item){.name = name};
	return i;
}

static int
failed(struct cli_error *e, const struct guard *g, const char *name,
    const char *why)
{
	return cli_error(e, CLI_RUN_FAILED, "protect the project",
	    "mend that, or run in another directory", "%s/%s: %s", g->root,
	    name, why);
}

static int
look_missing(struct guard *g, const struct row *row, struct cli_error *e)
{
	if (row->missing == LEAVE)
		return 0;
	if (row->missing == GHOST && mkdirat(g->fd, row->name, 0700) != 0)
		return failed(e, g, row->name, strerror(errno));
	item_add(g, row->name)->state =
	    row->missing == GHOST ? GUARD_GHOST : GUARD_WATCH;
	return 0;
}

/* Below a file (.git of a linked worktree) or a ghost there is nothing. */
static bool
parent_is_open(const struct guard *g, const char *name)
{
	const char *slash = strchr(name, '/');

	if (slash == NULL)
		return true;
	for (size_t i = 0; i < g->n; i++)
		if (strlen(g->items[i].name) == (size_t)(slash - name) &&
		    strncmp(g->items[i].name, name, (size_t)(slash - name)) ==
			0)
			return g->items[i].state == GUARD_PIN;
	return false;
}

/* When in doubt it is not. */
static bool
is_empty(int root, const char *name)
{
	int fd =
	    openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t n = 0;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while ((entry = readdir(d)) != NULL)
		n += strcmp(entry->d_name, ".") != 0 &&
		     strcmp(entry->d_name, "..") != 0;
	closedir(d);
	return n == 0;
}

static int
look(struct guard *g, const struct row *row, struct cli_error *e)
{
	struct guard_item *item;
	struct stat st;

	if (!parent_is_open(g, row->name))
		return 0;
	if (fstatat(g->fd, row->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT
			   ? look_missing(g, row, e)
			   : failed(e, g, row->name, strerror(errno));
	if (S_ISLNK(st.st_mode))
		return failed(e, g, row->name,
		    "it is a link, and what it names cannot be protected");
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return failed(e, g, row->name, "it is no file, no directory");
	item = item_add(g, row->name);
	item->was = st;
	if (row->missing == GHOST && S_ISDIR(st.st_mode) &&
	    is_empty(g->fd, row->name))
		item->state = GUARD_GHOST; /* perhaps of another run */
	else if (S_ISDIR(st.st_mode) && (strcmp(row->name, ".git") == 0 ||
					    strcmp(row->name, ".hg") == 0))
		item->state = GUARD_PIN;
	else
		item->state = GUARD_SEAL;
	return 0;
}

/* Only when no other run of this project leans on them. */
static void
ghosts_remove(const struct guard *g)
{
	if (flock(g->fd, LOCK_EX | LOCK_NB) != 0)
		return;
	/* Not empty any more: the user put something there; it stays. */
	for (size_t i = g->n; i-- > 0;)
		if (g->items[i].state == GUARD_GHOST)
			(void)unlinkat(g->fd, g->items[i].name, AT_REMOVEDIR);
}

int
guard_open(struct guard *g, const char *root, struct cli_error *e)
{
	bool bare;
	int r = 0;

	*g = (struct guard){0};
	(void)snprintf(g->root, sizeof(g->root), "%s", root);
	g->fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->fd < 0 || flock(g->fd, LOCK_SH) != 0)
		return failed(e, g, ".", strerror(errno));
	bare = is_bare(g->fd);
	for (size_t i = 0; r == 0 && i < COUNT(rows); i++)
		if (applies(i, bare))
			r = look(g, &rows[i], e);
	if (r != 0) {
		ghosts_remove(g);
		close(g->fd);
		g->fd = -1;
	}
	return r;
}

static int
put(struct buf *out, const char *word)
{
	return buf_put(out, word, strlen(word) + 1);
}

int
guard_words(const struct guard *g, struct buf *out)
{
	char path[2 * PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->n; i++) {
		const struct guard_item *it = &g->items[i];

		if (it->state == GUARD_WATCH)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", g->root, it->name);
		if ((r = put(out, it->state == GUARD_PIN ? "--bind"
							 : "--ro-bind")) == 0 &&
		    (r = put(out, path)) == 0)
			r = put(out, path);
	}
	return r;
}

struct teller {
	void (*told)(void *, const char *);
	void *arg;
	size_t n;
};

static void
tell(struct teller *t, const char *root, const char *name, const char *what)
{
	char sentence[2 * PATH_MAX + 256];

	(void)snprintf(
	    sentence, sizeof(sentence), "%s/%s %s", root, name, what);
	t->told(t->arg, sentence);
	t->n++;
}

/* Under a name that nothing reads. */
static void
hold(const struct guard *g, int root, const char *name, struct teller *t)
{
	char held[PATH_MAX], what[PATH_MAX + 128];
	struct stat st;
	int n = 0;

	do
		(void)snprintf(held, sizeof(held),
		    n ? "%s" HELD ".%d" : "%s" HELD, name, n);
	while (
	    fstatat(root, held, &st, AT_SYMLINK_NOFOLLOW) == 0 && ++n < 1000);
	if (renameat(root, name, root, held) == 0)
		(void)snprintf(what, sizeof(what),
		    "was made in the sandbox and would run outside: it is now "
		    "%s; read it before you use it",
		    held);
	else
		(void)snprintf(what, sizeof(what),
		    "was made in the sandbox and could not be renamed (%s): "
		    "read it before you use this directory",
		    strerror(errno));
	tell(t, g->root, name, what);
}

static bool
changed(const struct stat *a, const struct stat *b)
{
	return a->st_ino != b->st_ino || a->st_dev != b->st_dev ||
	       a->st_size != b->st_size ||
	       a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
	       a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

static void
settle(const struct guard *g, int root, const struct guard_item *it,
    struct teller *t)
{
	struct stat st;
	bool there = fstatat(root, it->name, &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (it->state == GUARD_WATCH && there)
		hold(g, root, it->name, t);
	if (it->state == GUARD_SEAL && (!there || changed(&it->was, &st)))
		tell(t, g->root, it->name,
		    "changed while the sandbox ran, from outside it: see that "
		    "it was you");
}

size_t
guard_close(
    struct guard *g, void (*told)(void *arg, const char *sentence), void *arg)
{
	struct teller t = {told, arg, 0};

	if (g->fd < 0 || g->root[0] == '\0')
		return 0;
	ghosts_remove(g);
	for (size_t i = 0; i < g->n; i++)
		settle(g, g->fd, &g->items[i], &t);
	close(g->fd);
	*g = (struct guard){.fd = -1};
	return t.n;
}
