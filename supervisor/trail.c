/* SPDX-License-Identifier: ISC */
/* What for: opening a session's audit files. Trusts: a courier for nothing:
 * a new file is made only when the last one is as long as it may be. At a
 * bound: the file of before goes on. */
#include "supervisor/trail.h"

#include "lib/log.h"
#include "lib/segments.h"
#include "supervisor/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int
open_one(const struct daemon *d, const char *session, uint32_t n, int *out)
{
	int fd = segment_open(d->home.audit_dir, session, n);

	if (fd < 0)
		return ERR_IO;
	if (d->ids.apart &&
	    fchown(fd, d->ids.uid[LINK_MINTER], d->ids.gid[LINK_MINTER]) != 0) {
		close(fd);
		return ERR_IO;
	}
	*out = fd;
	return 0;
}

int
trail_open(const struct daemon *d, const char *session, struct trail *out)
{
	struct trail t = {.fd = -1, .before = -1};
	struct segments s;
	int r = segments_find(d->home.audit_dir, session, &s);

	if (r != 0)
		return r;
	t.segment = s.last == 0 ? 1 : s.last;
	t.closed = s.closed;
	if ((r = open_one(d, session, t.segment, &t.fd)) != 0)
		return r;
	/* Without it, and with an empty one, the courier does not start. */
	if (t.segment > 1)
		t.before =
		    segment_read(d->home.audit_dir, session, t.segment - 1);
	*out = t;
	return 0;
}

void
trail_close(struct trail *t)
{
	if (t->fd >= 0)
		close(t->fd);
	if (t->before >= 0)
		close(t->before);
	t->fd = t->before = -1;
}

bool
trail_begins(const struct trail *t)
{
	struct stat st;

	return t->segment == 1 && fstat(t->fd, &st) == 0 && st.st_size == 0;
}

/* The last file is as long as one may be, and the log is not full with it:
 * whoever goes on regardless shall not get the whole disk, file by file. */
static bool
goes_on(const struct session *s)
{
	struct bounds b;
	struct stat st;

	process_bounds(s->courier, &b);
	return fstat(s->trail.fd, &st) == 0 &&
	       (uint64_t)st.st_size >= b.audit_segment_bytes &&
	       s->trail.closed < b.audit_bytes &&
	       (uint64_t)st.st_size < b.audit_bytes - s->trail.closed;
}

/* Its name is on disk before a line is in it. */
static int
make_next(struct session *s, int *out)
{
	const struct daemon *d = s->daemon;
	int fd, r = open_one(d, s->id, s->trail.segment + 1, &fd);

	if (r != 0)
		return r;
	if (fsync(d->home.audit_dir) != 0) {
		close(fd);
		return ERR_IO;
	}
	*out = fd;
	return 0;
}

void
trail_next(struct session *s)
{
	struct trail *t = &s->trail;
	struct ctl_audit_next m;
	struct segments found;
	int fd, copy;

	if (!goes_on(s))
		return; /* by another configuration, or a lie */
	if (make_next(s, &fd) != 0 ||
	    (copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		log_event(LOG_ERROR, "audit_not_rotated",
		    LOG_STR("session", s->id), LOG_INT("errno", errno));
		return;
	}
	if (t->before >= 0)
		close(t->before);
	t->before = t->fd;
	t->fd = fd;
	t->segment++;
	if (segments_find(s->daemon->home.audit_dir, s->id, &found) == 0)
		t->closed = found.closed;
	m.closed = t->closed;
	process_send(s->courier, &msg_audit_next, &m, copy);
}
