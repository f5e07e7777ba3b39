/* SPDX-License-Identifier: ISC */
/* What for: directories and files that decide something. Trusts: root, our
 * own uid, and the kernel's answers about what is already open. At a bound:
 * refuses with a sentence that says which path and how to mend it. */
#include "lib/safefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* On the way nothing is read: a process behind Landlock may walk to what it
 * may open. */
#define WALK (O_PATH | O_DIRECTORY | O_CLOEXEC)
#define LINKS_MAX 16

struct walk {
	int fd;		     /* of the directory reached so far */
	struct stat st;	     /* and what it is */
	char done[PATH_MAX]; /* its name, for people */
	char todo[PATH_MAX]; /* what is left of the path */
	int links;	     /* followed so far */
	bool make;
	char *why;
	size_t why_size;
};

static int
say(char *why, size_t size, int err, const char *path, const char *what,
    const char *next)
{
	(void)snprintf(why, size, "%s %s%s%s", path, what,
	    next[0] == '\0' ? "" : "; next: ", next); /* cut is fine */
	return err;
}

static int
fail(struct walk *w, int err, const char *what, const char *next)
{
	return say(w->why, w->why_size, err, w->done, what, next);
}

static bool
ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

static bool
others_write(const struct stat *st)
{
	return (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

static int
check_dir(struct walk *w)
{
	if (fstat(w->fd, &w->st) != 0)
		return fail(w, ERR_IO, "cannot be examined", "");
	if (!S_ISDIR(w->st.st_mode))
		return fail(w, ERR_DENIED, "is not a directory", "");
	if (!ours(&w->st))
		return fail(w, ERR_DENIED, "belongs to another user",
		    "chown it, or choose another place");
	if (others_write(&w->st) && (w->st.st_mode & S_ISVTX) == 0)
		return fail(
		    w, ERR_DENIED, "is writable by others", "chmod go-w it");
	return 0;
}

static int
restart(struct walk *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = open("/", WALK);
	strcpy(w->done, "/");
	return w->fd < 0 ? fail(w, ERR_IO, "cannot be opened", "")
			 : check_dir(w);
}

/* Take the first component off todo; false when none is left. */
static bool
next_name(struct walk *w, char name[static NAME_MAX + 1], int *err)
{
	size_t skip = strspn(w->todo, "/");
	size_t n = strcspn(w->todo + skip, "/");

	*err = 0;
	if (n == 0)
		return false;
	if (n > NAME_MAX) {
		*err = fail(w, ERR_TOO_BIG, "has a name that is too long", "");
		return false;
	}
	memcpy(name, w->todo + skip, n);
	name[n] = '\0';
	memmove(w->todo, w->todo + skip + n, strlen(w->todo + skip + n) + 1);
	return true;
}

static int
grow(struct walk *w, const char *name)
{
	size_t n = strlen(w->done), m = strlen(name);

	if (n + m + 2 > sizeof(w->done))
		return fail(w, ERR_TOO_BIG, "is too long", "");
	if (w->done[n - 1] != '/')
		w->done[n++] = '/';
	memcpy(w->done + n, name, m + 1);
	return 0;
}

/* The component is a symbolic link: only the owner of a directory that
 * nobody else can write may have put it there. */
static int
follow(struct walk *w, const char *name)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t n = readlinkat(w->fd, name, target, sizeof(target) - 1);

	if (n <= 0)
		return fail(w, ERR_IO, "holds a link that cannot be read", "");
	target[n] = '\0';
	if (others_write(&w->st))
		return fail(w, ERR_DENIED,
		    "is writable by others and holds a symbolic link",
		    "name the real directory");
	if (++w->links > LINKS_MAX)
		return fail(w, ERR_DENIED, "has too many symbolic links", "");
	int m = snprintf(rest, sizeof(rest), "%s/%s", target, w->todo);
	if (m < 0 || (size_t)m >= sizeof(rest))
		return fail(w, ERR_TOO_BIG, "is too long", "");
	memcpy(w->todo, rest, (size_t)m + 1);
	return target[0] == '/' ? restart(w) : 0;
}

static int
enter(struct walk *w, const char *name, int fd)
{
	int r;

	close(w->fd);
	w->fd = fd;
	return (r = grow(w, name)) != 0 ? r : check_dir(w);
}

static int
step(struct walk *w, const char *name)
{
	int flags = WALK | O_NOFOLLOW;
	struct stat st;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0)
		return fail(w, ERR_ARGUMENT, "is followed by ..",
		    "name the directory without ..");
	int fd = openat(w->fd, name, flags);
	if (fd < 0 && errno == ENOENT && w->make) {
		if (mkdirat(w->fd, name, 0700) != 0 && errno != EEXIST)
			return fail(w, ERR_IO, "cannot be written to", "");
		fd = openat(w->fd, name, flags);
	}
	if (fd >= 0)
		return enter(w, name, fd);
	int e = errno;
	if (fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode))
		return follow(w, name);
	(void)grow(w, name); /* for the sentence only */
	return e == ENOENT ? fail(w, ERR_NOT_FOUND, "does not exist", "")
			   : fail(w, ERR_DENIED, "cannot be opened", "");
}

/* The directory as an O_PATH fd. */
static int
walk_to(const char *path, bool make, int *fd, char *why, size_t size)
{
	struct walk w = {.fd = -1, .make = make, .why = why, .why_size = size};
	char name[NAME_MAX + 1];
	int r;

	if (path[0] != '/')
		return say(
		    why, size, ERR_ARGUMENT, path, "is not absolute", "");
	if (strlen(path) >= sizeof(w.todo))
		return say(
		    why, size, ERR_TOO_BIG, "the path", "is too long", "");
	memcpy(w.todo, path, strlen(path) + 1);
	r = restart(&w);
	while (r == 0 && next_name(&w, name, &r))
		r = step(&w, name);
	if (r != 0) {
		if (w.fd >= 0)
			close(w.fd);
		return r;
	}
	*fd = w.fd;
	return 0;
}

int
safefile_dir(const char *path, bool make, int *fd, char *why, size_t size)
{
	int at = -1, r = walk_to(path, make, &at, why, size);

	if (r != 0)
		return r;
	*fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(at);
	return *fd >= 0 ? 0
			: say(why, size, ERR_DENIED, path, "cannot be opened",
			      "");
}

static int
open_in_parent(const char *path, int *fd, char *why, size_t size)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int dir = -1, r;

	if (path[0] != '/' || strlen(path) >= sizeof(parent) ||
	    slash[1] == '\0')
		return say(why, size, ERR_ARGUMENT, path,
		    "is not an absolute path of a file", "");
	memcpy(parent, path, (size_t)(slash - path) + 1);
	parent[slash - path + 1] = '\0';
	if ((r = walk_to(parent, false, &dir, why, size)) != 0)
		return r;
	/* Not blocking on a fifo that somebody put there. */
	*fd = openat(
	    dir, slash + 1, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int e = errno;
	close(dir);
	if (*fd >= 0)
		return 0;
	return e == ENOENT
		   ? say(why, size, ERR_NOT_FOUND, path, "does not exist", "")
		   : say(why, size, ERR_DENIED, path, "cannot be opened",
			 e == ELOOP ? "replace the symbolic link by the file"
				    : "");
}

static int
check_file(
    int fd, const char *path, size_t max, bool secret, char *why, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return say(why, size, ERR_IO, path, "cannot be examined", "");
	if (!S_ISREG(st.st_mode))
		return say(
		    why, size, ERR_DENIED, path, "is not a regular file", "");
	if (!ours(&st))
		return say(why, size, ERR_DENIED, path,
		    "belongs to another user", "chown it");
	if (others_write(&st))
		return say(why, size, ERR_DENIED, path, "is writable by others",
		    "chmod go-w it");
	if (secret && (st.st_mode & (S_IRGRP | S_IROTH)) != 0)
		return say(why, size, ERR_DENIED, path,
		    "is secret and readable by others", "chmod go-r it");
	if (st.st_size < 0 || (size_t)st.st_size > max)
		return say(why, size, ERR_TOO_BIG, path, "is too large", "");
	return 0;
}

static int
read_all(int fd, size_t max, struct buf *out)
{
	for (size_t left = max; left > 0;) {
		size_t room = buf_room(out);
		size_t want = left < 4096 ? left : 4096;
		uint8_t over, *p = &over;
		int r = 0;

		if (room > 0)
			r = buf_reserve(out, want < room ? want : room, &p);

		if (r != 0)
			return r;
		want = room == 0 ? 1 : want < room ? want : room;
		ssize_t n = read(fd, p, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			return 0;
		if (room == 0)
			return ERR_TOO_BIG; /* than the caller's buffer */
		buf_claim(out, (size_t)n);
		left -= (size_t)n;
	}
	return 0;
}

int
safefile_read(const char *path, size_t max, bool secret, struct buf *out,
    char *why, size_t size)
{
	int fd = -1, r;

	if ((r = open_in_parent(path, &fd, why, size)) != 0)
		return r;
	if ((r = check_file(fd, path, max, secret, why, size)) == 0 &&
	    (r = read_all(fd, max, out)) != 0)
		r = say(why, size, r, path, "cannot be read", "");
	close(fd);
	return r;
}

static int
write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_IO;
		s = span_from(s, (size_t)n);
	}
	return fsync(fd) == 0 ? 0 : ERR_IO;
}

int
safefile_beside(const char *path, char *why, size_t size)
{
	static const char *const ends[] = {"-journal", "-wal", "-shm"};
	char beside[PATH_MAX + 16];
	struct stat st;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)snprintf(beside, sizeof(beside), "%s%s", path, ends[i]);
		if (lstat(beside, &st) != 0 || S_ISREG(st.st_mode))
			continue;
		(void)snprintf(why, size,
		    "%s is no regular file; next: move it away", beside);
		return ERR_DENIED;
	}
	return 0;
}

int
safefile_write(int dirfd, const char *name, struct span content)
{
	char temp[NAME_MAX + 1];
	int n, fd, r;

	if (name[0] == '\0' || strchr(name, '/') != NULL)
		return ERR_ARGUMENT;
	n = snprintf(temp, sizeof(temp), ".%s.%08x", name,
	    (unsigned)randombytes_random());
	if (n < 0 || (size_t)n >= sizeof(temp))
		return ERR_TOO_BIG;
	fd = openat(dirfd, temp,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return ERR_IO;
	r = write_all(fd, content);
	if (close(fd) != 0 && r == 0)
		r = ERR_IO;
	if (r == 0 && renameat(dirfd, temp, dirfd, name) != 0)
		r = ERR_IO;
	if (r != 0) {
		(void)unlinkat(dirfd, temp, 0); /* r says it already */
		return r;
	}
	return fsync(dirfd) == 0 ? 0 : ERR_IO;
}
