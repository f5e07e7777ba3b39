/* SPDX-License-Identifier: ISC */
/* What for: following files. Trusts: nothing of what is in them. At a
 * bound: a line over 64 KiB comes in pieces. */
#include "cli/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_ (64 * 1024)

struct tail {
	int fd;
	struct buf *rest; /* a line that has no end yet */
};

/* The offset behind the newline that ends the line before the last n. */
static off_t
find_start(int fd, off_t size, size_t n)
{
	char block[4096];
	off_t end = size;

	while (end > 0) {
		off_t from =
		    end > (off_t)sizeof(block) ? end - (off_t)sizeof(block) : 0;
		ssize_t got = pread(fd, block, (size_t)(end - from), from);
		if (got != end - from)
			return size;
		for (ssize_t i = got - 1; i >= 0; i--) {
			if (block[i] != '\n' || from + i == size - 1)
				continue;
			if (n == 0 || --n == 0)
				return from + i + 1;
		}
		end = from;
	}
	return 0;
}

int
tail_open(int dirfd, const char *name, size_t n, struct tail **out)
{
	struct stat st;
	struct tail *t;
	int fd = openat(dirfd, name,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return ERR_FORMAT;
	}
	off_t from = n == 0 ? st.st_size : find_start(fd, st.st_size, n);
	if (lseek(fd, from, SEEK_SET) < 0 ||
	    (t = calloc(1, sizeof(*t))) == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	t->fd = fd;
	if ((t->rest = buf_new(LINE_MAX_)) == NULL) {
		tail_free(t);
		return ERR_NOMEM;
	}
	*out = t;
	return 0;
}

void
tail_free(struct tail *t)
{
	if (t == NULL)
		return;
	close(t->fd);
	buf_free(t->rest);
	free(t);
}

static int
hand_over(struct tail *t, tail_each *each, void *ctx)
{
	int r = 0;

	while (r == 0 && buf_len(t->rest) > 0) {
		struct span s = buf_span(t->rest);
		const uint8_t *end = memchr(s.p, '\n', s.n);
		if (end == NULL && buf_room(t->rest) > 0)
			return 0;
		size_t n = end == NULL ? s.n : (size_t)(end - s.p);
		r = each(ctx, span_of(s.p, n));
		buf_consume(t->rest, n + (end != NULL));
	}
	return r;
}

int
tail_read(struct tail *t, tail_each *each, void *ctx)
{
	uint8_t *p;
	int r;

	for (;;) {
		size_t want = buf_room(t->rest);
		if ((r = buf_reserve(t->rest, want, &p)) != 0)
			return r;
		ssize_t n = read(t->fd, p, want);
		if (n < 0 && errno != EINTR)
			return ERR_IO;
		if (n == 0)
			return 0;
		if (n > 0)
			buf_claim(t->rest, (size_t)n);
		if ((r = hand_over(t, each, ctx)) != 0)
			return r;
	}
}
