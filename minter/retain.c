/* SPDX-License-Identifier: ISC */
/* What for: removing old audit files in a way that can be proved. Trusts:
 * the directory's times for what is old. At a bound: a file that does not
 * chain is left alone, and said so. */
#include "minter/retain.h"

#include "minter/carry.h"

#include "lib/log.h"
#include "lib/segments.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
	char chain[SEGMENT_CHAIN_MAX];
	uint32_t n;
	uint64_t bytes;
	int64_t changed; /* Unix seconds */
	bool kept;	 /* may not go */
	const char *why; /* it goes, or NULL */
};

struct files {
	struct file *f;
	size_t n, room;
	uint64_t bytes;
	int dirfd;
};

static int
add(struct files *all, const char *name)
{
	struct stat st;
	struct file f = {0};

	if (!segment_parse(name, f.chain, &f.n) ||
	    fstatat(all->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	all->bytes += (uint64_t)st.st_size;
	if (all->n == all->room) {
		size_t room = all->room == 0 ? 64 : all->room * 2;
		struct file *p = reallocarray(all->f, room, sizeof(*p));
		if (p == NULL)
			return ERR_NOMEM;
		all->f = p;
		all->room = room;
	}
	f.bytes = (uint64_t)st.st_size;
	f.changed = st.st_mtim.tv_sec;
	all->f[all->n++] = f;
	return 0;
}

static int
by_chain(const void *a, const void *b)
{
	const struct file *x = a, *y = b;
	int c = strcmp(x->chain, y->chain);

	return c != 0 ? c : x->n < y->n ? -1 : x->n > y->n;
}

static int
find(struct files *all)
{
	int fd = openat(all->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		r = add(all, e->d_name);
	closedir(d);
	if (all->n > 0)
		qsort(all->f, all->n, sizeof(all->f[0]), by_chain);
	return r;
}

static bool
same_chain(const struct files *all, size_t i, size_t j)
{
	return all->f != NULL && j < all->n &&
	       strcmp(all->f[i].chain, all->f[j].chain) == 0;
}

static bool
is_own(const struct file *f)
{
	return strcmp(f->chain, AUDIT_CHAIN) == 0;
}

static bool
lives(const struct minter *m, const struct file *f)
{
	return is_own(f) || minter_session_id(m, span_str(f->chain)) != NULL;
}

/* The newest is being written, and who is born reads the one before. */
static void
keep_newest(const struct minter *m, struct files *all)
{
	for (size_t i = 0; i < all->n; i++)
		all->f[i].kept =
		    lives(m, &all->f[i]) &&
		    !(same_chain(all, i, i + 1) && same_chain(all, i, i + 2));
}

/* The minter's own after those of sessions, which it tells of. */
static bool
older(const struct file *f, const struct file *than)
{
	return than == NULL || f->changed < than->changed ||
	       (f->changed == than->changed && is_own(than));
}

/* The oldest file that is the first of its chain by now, or NULL. */
static struct file *
oldest(struct files *all)
{
	struct file *found = NULL;

	for (size_t i = 0; i < all->n; i++) {
		struct file *f = &all->f[i];
		bool first = i == 0 || !same_chain(all, i, i - 1) ||
			     all->f[i - 1].why != NULL;
		if (f->why == NULL && !f->kept && first && older(f, found))
			found = f;
	}
	return found;
}

/* now: 0 while nothing is old by the clock. */
static void
choose(struct files *all, const struct bounds *b, int64_t now)
{
	int64_t days = now == 0 ? 0 : (int64_t)b->audit_keep_days;
	struct file *f;

	while ((f = oldest(all)) != NULL) {
		if (days > 0 && f->changed < now - days * 86400)
			f->why = "age";
		else if (b->audit_keep_bytes > 0 &&
			 all->bytes > b->audit_keep_bytes)
			f->why = "size";
		else
			return;
		all->bytes -= f->bytes;
	}
}

/* The lines of n files that go, the first of their chain. */
static int
read_ends(const struct files *all, size_t at, size_t n,
    struct chainlog_head *before, struct chainlog_head *last)
{
	struct chainlog_head first;
	bool any = false;

	for (size_t i = at; i < at + n; i++) {
		const struct file *f = &all->f[i];
		int fd = segment_read(all->dirfd, f->chain, f->n);
		int r = fd < 0 ? ERR_IO : chainlog_ends(fd, &first, last);
		if (fd >= 0)
			close(fd);
		if (r == ERR_NOT_FOUND && f->bytes == 0)
			continue;
		if (r != 0)
			return r;
		if (!any)
			*before = first;
		any = true;
	}
	return any ? 0 : ERR_NOT_FOUND;
}

static void
unlink_all(const struct files *all, size_t at, size_t n)
{
	char name[SEGMENT_NAME_MAX];

	for (size_t i = at; i < at + n; i++) {
		segment_name(all->f[i].chain, all->f[i].n, name);
		if (unlinkat(all->dirfd, name, 0) != 0) {
			log_event(LOG_ERROR, "audit_file_stays",
			    LOG_STR("file", name));
			return; /* none after it: there would be a gap */
		}
	}
}

static bool
stays(void *ctx, const char *chain)
{
	const struct files *all = ctx;

	for (size_t i = 0; i < all->n; i++) {
		if (all->f[i].why == NULL &&
		    strcmp(all->f[i].chain, chain) == 0)
			return true;
	}
	return false;
}

/* n files from at on, the first of their chain. */
static void
remove_part(struct minter *m, struct files *all, size_t at, size_t n)
{
	const struct file *f = &all->f[at];
	struct chainlog_head before = {0}, last = {0};
	bool whole = !lives(m, f) && !same_chain(all, at, at + n);
	int r = read_ends(all, at, n, &before, &last);

	if (r == 0 && is_own(f))
		r = carry_lines(m->audit, all->dirfd, f->n, n, stays, all);
	if (!audit_ok(m->audit)) {
		minter_fail(m, "audit");
		return;
	}
	if (r != 0 && r != ERR_NOT_FOUND) {
		log_event(LOG_ERROR, "audit_not_removed",
		    LOG_STR("session", f->chain), LOG_ERR(r),
		    LOG_STR("next", "hatcheck audit verify"));
		return;
	}
	/* On disk before the lines are gone. */
	if (r == 0 && audit_removed(m->audit, f->chain, before.seq + 1, &last,
			  f->why, whole) != 0) {
		minter_fail(m, "audit");
		return;
	}
	unlink_all(all, at, n);
	log_event(LOG_INFO, "audit_removed", LOG_STR("session", f->chain),
	    LOG_INT("files", (int64_t)n), LOG_STR("why", f->why));
}

static void
remove_chosen(struct minter *m, struct files *all, bool own)
{
	for (size_t i = 0, n; i < all->n; i += n) {
		size_t go = 0;
		for (n = 1; same_chain(all, i, i + n);)
			n++;
		while (go < n && all->f[i + go].why != NULL)
			go++;
		if (go > 0 && is_own(&all->f[i]) == own && m->failed == NULL)
			remove_part(m, all, i, go);
	}
}

/* A clock that has just gone far ahead may be put right again. */
static int64_t
settled_now(const struct minter *m)
{
	if (clock_settled(&m->clock, clock_boot_ms()))
		return clock_wall_ms() / 1000;
	if (m->bounds.audit_keep_days > 0)
		log_event(LOG_WARN, "audit_age_not_looked_at",
		    LOG_STR("why", "the clock stepped ahead within the hour"));
	return 0;
}

void
retain_run(struct minter *m)
{
	struct files all = {
	    .dirfd = open(m->audit_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

	if (m->failed != NULL || m->audit_keys == NULL || all.dirfd < 0 ||
	    find(&all) != 0) {
		log_event(LOG_INFO, "audit_not_looked_through");
	} else {
		keep_newest(m, &all);
		choose(&all, &m->bounds, settled_now(m));
		remove_chosen(m, &all, false);
		remove_chosen(m, &all, true);
	}
	if (all.dirfd >= 0)
		close(all.dirfd);
	free(all.f);
}
