/* SPDX-License-Identifier: ISC */
/*
 * Mounts over what must not be reached.
 * Trusts the kernel's list of mounts, and looks afterwards whether it was
 * enough.
 * A list that cannot be read, or a place that cannot be covered, is a
 * failure: nothing is run then.
 */
#include "guest-agent/cover.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define LINE_SIZE (3 * PATH_MAX)

/* One line of mountinfo, of which we look at these. */
struct mount {
	char device[32], type[64];
	char root[PATH_MAX], point[PATH_MAX];
};

/* \040 and the like are a blank, tab, newline or backslash. */
static void
unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++) {
		unsigned v;
		if (s[0] == '\\' && sscanf(s + 1, "%3o", &v) == 1) {
			*to++ = (char)v;
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /point options [fields] - type source options" */
static bool
parse(const char *line, struct mount *m)
{
	const char *dash = strstr(line, " - ");

	if (dash == NULL ||
	    sscanf(line, "%*d %*d %31s %4095s %4095s", m->device, m->root,
		m->point) != 3 ||
	    sscanf(dash, " - %63s", m->type) != 1)
		return false;
	unescape(m->root);
	unescape(m->point);
	return true;
}

/* Each mount, in order, until each() says no. */
static int
mounts(int (*each)(void *arg, const struct mount *m), void *arg)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = malloc(LINE_SIZE);
	struct mount *m = malloc(sizeof(*m));
	int r = f == NULL || line == NULL || m == NULL ? -1 : 0;

	while (r == 0 && fgets(line, LINE_SIZE, f) != NULL)
		r = parse(line, m) ? each(arg, m) : -1;
	if (f != NULL) {
		r = ferror(f) ? -1 : r;
		fclose(f);
	}
	free(line);
	free(m);
	return r;
}

/* What of path is below prefix, with its slash; NULL: nothing. */
static const char *
below(const char *path, const char *prefix)
{
	size_t n = strcmp(prefix, "/") == 0 ? 0 : strlen(prefix);

	if (strncmp(path, prefix, n) != 0 ||
	    (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return path + n;
}

#define PLACES 64

struct search {
	const char *dir;
	char device[32], inner[PATH_MAX]; /* where it is in its file system */
	size_t longest;
	struct stat st;
	char place[PLACES][PATH_MAX];
	size_t n;
};

/* The last of the longest mount points is the one that is seen. */
static int
find_inner(void *arg, const struct mount *m)
{
	struct search *s = arg;
	const char *rest = below(s->dir, m->point);

	if (rest == NULL || strlen(m->point) < s->longest)
		return 0;
	s->longest = strlen(m->point);
	memcpy(s->device, m->device, sizeof(s->device));
	return snprintf(s->inner, sizeof(s->inner), "%s%s",
		   strcmp(m->root, "/") == 0 ? "" : m->root,
		   strcmp(rest, "/") == 0 ? "" : rest) <
		       (int)sizeof(s->inner)
		   ? 0
		   : -1;
}

static int
remember(struct search *s, const char *path)
{
	int n;

	if (s->n == PLACES)
		return -1;
	n = snprintf(s->place[s->n], sizeof(s->place[0]), "%s", path);
	if (n < 0 || (size_t)n >= sizeof(s->place[0]))
		return -1;
	s->n++;
	return 0;
}

/* Is the directory, or a part of it, seen through this mount? */
static int
find_place(void *arg, const struct mount *m)
{
	char path[2 * PATH_MAX];
	struct search *s = arg;
	const char *rest;
	struct stat st;

	if (strcmp(m->device, s->device) != 0)
		return 0;
	if ((rest = below(s->inner, m->root)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s%s",
		    strcmp(m->point, "/") == 0 ? "" : m->point, rest);
		/* Not there, or hidden by another mount: nothing to cover. */
		return stat(path, &st) == 0 && st.st_dev == s->st.st_dev &&
			       st.st_ino == s->st.st_ino
			   ? remember(s, path)
			   : 0;
	}
	return below(m->root, s->inner) != NULL ? remember(s, m->point) : 0;
}

static int
cover(const char *place)
{
	struct stat st;

	if (stat(place, &st) != 0)
		return errno == ENOENT ? 0 : -1;
	if (S_ISDIR(st.st_mode))
		return mount("tmpfs", place, "tmpfs",
		    MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		    "size=4k,mode=0555");
	return mount("/dev/null", place, NULL, MS_BIND, NULL);
}

static int
say(char *why, size_t size, const char *what)
{
	(void)snprintf(why, size, "%s: %s", what, strerror(errno));
	return -1;
}

static int
still_there(const struct search *s)
{
	struct stat st;

	return stat(s->dir, &st) == 0 && st.st_dev == s->st.st_dev &&
	       st.st_ino == s->st.st_ino;
}

int
cover_directory(const char *dir, char *why, size_t size)
{
	char real[PATH_MAX];
	struct search s = {.dir = real};
	int r = 0;

	if (realpath(dir, real) == NULL || stat(real, &s.st) != 0)
		return say(why, size, dir);
	if (strcmp(real, "/") == 0) {
		(void)snprintf(why, size, "the channel lies in /");
		return -1;
	}
	if (mounts(find_inner, &s) != 0 || mounts(find_place, &s) != 0 ||
	    s.n == 0) {
		(void)snprintf(why, size, "the list of mounts cannot be read");
		r = -1;
	}
	for (size_t i = 0; r == 0 && i < s.n; i++) {
		if (cover(s.place[i]) != 0)
			r = say(why, size, s.place[i]);
	}
	if (r == 0 && still_there(&s)) {
		(void)snprintf(why, size, "%s could not be covered", dir);
		r = -1;
	}
	return r;
}

static int
find_proc(void *arg, const struct mount *m)
{
	/* Of a part of it, only a process' own would tell something. */
	if (strcmp(m->type, "proc") != 0)
		return 0;
	if (m->root[1] >= '0' && m->root[1] <= '9')
		return -1;
	return strcmp(m->root, "/") == 0 ? remember(arg, m->point) : 0;
}

int
cover_proc(char *why, size_t size)
{
	struct search s = {0};
	int r = mounts(find_proc, &s) != 0 || s.n == 0 ? -1 : 0;

	if (r != 0)
		(void)snprintf(why, size, "the list of mounts cannot be read");
	for (size_t i = 0; i < s.n; i++) {
		if (r == 0 &&
		    mount("proc", s.place[i], "proc",
			MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
			r = say(why, size, "a /proc of its own");
	}
	return r;
}
